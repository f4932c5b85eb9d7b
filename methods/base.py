"""The contract of a method. Its defaults are full fine-tuning; a method's file has what differs.

`training/` makes a method with a `Recipe` and an output mode. It then calls the hooks in this
order: `load_options`, `after_load`, `apply` (freeze, wrap), `render` and `targets` (what the model
reads and should answer), `stages` (what trains, in sequence), `loss`, `penalty`, `after_step`,
`save`, `restore`. `training/train.py` has the loop. Methods' files import torch only inside
functions, because pytest reads them when it collects cases.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pytest_ftcompare.tasks import Example, Task

Rows = list[list[int]]  # token ids
if TYPE_CHECKING:  # these types need torch
    Inputs = dict[str, torch.Tensor]  # a model's inputs by argument name
    Loss = Callable[[nn.Module, Rows, torch.Tensor], torch.Tensor]  # (model, rows, targets) -> loss

OutputMode = Literal["head", "pattern", "answer"]
FitsModel = Callable[[str], bool]
# The file of a checkpoint that names the tensors' method and base model.
OWNER_FILE = "method.json"


class MethodError(ValueError):
    """A method cannot be used this way; the message states what was expected and what came."""


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of AdamW with linear warm-up, then linear decay to zero.

    The last checkpoint counts; there is no model selection. One update takes `batch_size` rows in
    `micro_batches` parts. `warmup_share` is a share of all updates. `max_grad_norm` bounds the
    global gradient norm. `gradient_checkpointing` recomputes activations in the backward pass.
    `options` are the method's own.
    """

    lr: float
    epochs: int
    batch_size: int = 16
    micro_batches: int = 1
    warmup_share: float = 0.1
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    gradient_checkpointing: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A part of a training: rows of token ids, one target per row, and their mean loss.

    `targets` has the rows in its first dimension. `extra_parameters` train with the model's without
    being part of it, such as a source task's head.
    """

    recipe: Recipe
    rows: Rows
    targets: torch.Tensor
    loss: Loss
    extra_parameters: Sequence[nn.Parameter] = ()


class SeedContext(Protocol):
    """The data that a method may use for one seed: its training rows and source tasks, no test row.

    `shots` is the number of rows per class. `training/prepared_seed.py` implements it.
    """

    @property
    def seed(self) -> int: ...

    @property
    def shots(self) -> int: ...

    @property
    def task(self) -> Task: ...

    @property
    def method(self) -> str:
        """The method's name."""

    @property
    def support(self) -> list[Example]:
        """The seed's training rows."""

    @property
    def labels(self) -> torch.Tensor:
        """The class of each training row, (rows,)."""

    @property
    def rows(self) -> Rows:
        """The training rows as the method renders them, as token ids."""

    @property
    def decoder(self) -> bool:
        """Whether the base model is a decoder, which writes text and caches keys and values."""

    @property
    def encoder_decoder(self) -> bool:
        """Whether the base model is an encoder-decoder."""

    def fits(self, text: str) -> bool:
        """Return whether the text fits into the model's length."""

    def stage(self, recipe: Recipe) -> Stage:
        """Return the task's stage: the method's rows, targets and loss."""

    def source_task(self, task: str, shots: int) -> SeedContext:
        """Return this seed's context of a declared source task, with `shots` rows per class."""

    def base_logits(self, texts: list[str]) -> torch.Tensor:
        """Return the unchanged base model's logits of the verbalizers, (rows, classes)."""

    def text_stage(self, recipe: Recipe, model: nn.Module, count: int) -> Stage:
        """Return a stage of language modelling on `count` unlabelled training rows.

        It trains the base weights inside `model`.
        """


class Method:
    """Full fine-tuning, and the hooks that other methods override.

    The output mode is "head" (a new classification head), "pattern" (the language model's head at
    the verbalizers) or "answer" (the language model writes the answer, and the loss covers only
    the answer). `base` names the base model's weights in a checkpoint.
    """

    name: ClassVar[str]
    # The first output mode is the default.
    output_modes: ClassVar[tuple[OutputMode, ...]] = ("head", "pattern", "answer")
    trains: ClassVar[bool] = True
    # Whether the outputs before the first update are the base model's.
    starts_as_base_model: ClassVar[bool] = True
    mergeable: ClassVar[bool] = False  # `merge` returns a plain base model with the same outputs
    recipes: ClassVar[Mapping[str, Recipe]]  # the profile's scale ("pocket", "paper") -> recipe

    def __init__(
        self, recipe: Recipe, output_mode: OutputMode | None = None, base: str = ""
    ) -> None:
        self.recipe, self.output_mode, self.base = recipe, output_mode or self.output_modes[0], base

    def option(self, name: str) -> Any:
        """Return an option of the recipe."""
        return self.recipe.options[name]

    def int_option(self, name: str, minimum: int = 1) -> int:
        """Return an option that is a count; a value below `minimum` raises `MethodError`."""
        value = self.option(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise MethodError(
                f"{self.name}: expected {name} to be a whole number of at least {minimum}, "
                f"got {value!r}"
            )
        return value

    def sources(self) -> tuple[str, ...]:
        """Return the option `sources`, names of tasks; empty if the recipe lacks it.

        An unknown or repeated name raises `MethodError`.
        """
        from pytest_ftcompare import tasks

        given = self.recipe.options.get("sources", ())
        names = (given,) if isinstance(given, str) else tuple(given)
        for name in names:
            if name not in tasks.NAMES or names.count(name) > 1:
                raise MethodError(
                    f"{self.name}: expected different tasks as sources, "
                    f"of {', '.join(tasks.NAMES)}; got {name!r}"
                )
        return names

    @property
    def num_virtual_tokens(self) -> int:
        """The number of positions that the method's virtual tokens take from the text."""
        return 0

    def load_options(self) -> dict[str, Any]:
        """Return more arguments of `from_pretrained`, such as a quantisation."""
        return {}

    def after_load(self, model: nn.Module) -> None:
        """Change the freshly loaded base model before it computes anything."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Freeze, wrap or extend the freshly loaded base model; here every weight trains."""
        return model

    def render(
        self, task: Task, example: Example, support: Sequence[Example], fits: FitsModel
    ) -> str:
        """Return the text that the model reads for `example`.

        `support` is the seed's training rows. `fits` returns whether a text fits into the model's
        length.
        """
        template = task.text_template if self.output_mode == "head" else task.pattern
        return template.format(**example.fields)

    def targets(self, context: SeedContext) -> torch.Tensor:
        """Return the target of each training row; here the index of its class, (rows,)."""
        return context.labels

    def stages(self, model: nn.Module, context: SeedContext) -> Iterator[Stage]:
        """Yield the stages in order; here only the task.

        A method may change the model between two stages.
        """
        yield context.stage(self.recipe)

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss over rows.

        `logits` are (rows, classes): the head's, or the language model's at the verbalizers.
        """
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits.float(), targets)

    def penalty(self, model: nn.Module) -> torch.Tensor | float:
        """Return an addition to the loss that does not depend on the rows."""
        return 0.0

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        """Act after an update, while its gradients are still there.

        `step` counts from 1; 0 is the call before the first update.
        """

    def may_skip_gradient(self, name: str) -> bool:
        """Return whether a trained tensor may have no gradient in some steps."""
        return False

    def merge(self, model: nn.Module) -> nn.Module:
        """Return the model without the method's own modules."""
        raise MethodError(f"{self.name} cannot be merged into its base model")

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write what trained as safetensors, and its owner as JSON, in the way of PEFT."""
        self.write(model, folder)
        owner = {
            "method": self.name,
            "base": self.base,
            "output_mode": self.output_mode,
            "options": dict(self.recipe.options),
        }
        (folder / OWNER_FILE).write_text(f"{json.dumps(owner, indent=1)}\n", encoding="utf-8")

    def restore(self, model: nn.Module, folder: Path) -> nn.Module:
        """Return `model`, freshly loaded, with the tensors that `save` wrote.

        A checkpoint of another method, base model or options raises `MethodError`.
        """
        try:
            owner = dict(json.loads((folder / OWNER_FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise MethodError(
                f"expected a checkpoint of {self.name} in {folder}, "
                f"its {OWNER_FILE} cannot be read: {error}"
            ) from None
        for key, expected in (
            ("method", self.name),
            ("base", self.base),
            ("output_mode", self.output_mode),
        ):
            if owner.get(key) != expected:
                raise MethodError(
                    f"expected a checkpoint with {key} {expected!r} in {folder}, "
                    f"it has {owner.get(key)!r}"
                )
        # JSON turns a tuple into a list, so the recipe's options go through it, too.
        options = json.loads(json.dumps(dict(self.recipe.options)))
        for name in sorted(options.keys() | owner.get("options", {}).keys()):
            stored, expected = owner.get("options", {}).get(name), options.get(name)
            if stored != expected:
                raise MethodError(
                    f"expected a checkpoint with option {name} {expected!r} in {folder}, "
                    f"it has {stored!r}"
                )
        return self.read(model, folder)

    def checkpoint_parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """Return the parameters of a checkpoint by name; here all that train."""
        return {name: p for name, p in model.named_parameters() if p.requires_grad}

    def write(self, model: nn.Module, folder: Path) -> None:
        """Write the tensors of a checkpoint; `save` calls it."""
        from safetensors.torch import save_file

        if tensors := {
            name: p.detach().contiguous() for name, p in self.checkpoint_parameters(model).items()
        }:
            save_file(tensors, str(folder / "model.safetensors"))

    def read(self, model: nn.Module, folder: Path) -> nn.Module:
        """Apply the method and load the tensors of `write`: all of them and no others."""
        from safetensors.torch import load_file

        model = self.apply(model)
        file = folder / "model.safetensors"
        saved = load_file(str(file)) if file.exists() else {}
        wanted = self.checkpoint_parameters(model)
        if saved.keys() != wanted.keys():
            unmatched = sorted(saved.keys() ^ wanted.keys())[0]
            raise MethodError(
                f"{file} and the model disagree on what {self.name} keeps: "
                f"{unmatched} is in only one of them"
            )
        for name, parameter in wanted.items():
            if saved[name].shape != parameter.shape:
                shapes = f"{list(saved[name].shape)}, the model has {list(parameter.shape)}"
                raise MethodError(
                    f"{file} is for another base model or other options: its {name} is {shapes}"
                )
            parameter.data.copy_(saved[name])
        return model
