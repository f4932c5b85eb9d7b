"""The contract of a method. Its defaults *are* full fine-tuning, so a method's file says only what differs.

A method is made with a `Recipe` and a way of asking, and then asked, in this order: `load_options`, `after_load`, `apply`
(freeze, wrap), `render` and `targets` (what the model reads and should answer), `stages` (what is trained, one after the
other), `loss`, `penalty`, `after_step`, `save`, `restore`. The loop that calls them is `pytest_ftcompare.training.train`,
the only one. Methods' files import torch inside functions: they are read when cases are collected.
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
if TYPE_CHECKING:  # this file is read without torch
    Inputs = dict[str, torch.Tensor]  # what a model reads, by the name of its argument
    Loss = Callable[[nn.Module, Rows, torch.Tensor], torch.Tensor]  # of some rows and their targets

OutputMode = Literal["head", "pattern", "answer"]
FitsModel = Callable[[str], bool]
OWNER_FILE = (
    "method.json"  # beside the tensors of a checkpoint: which method and base model they belong to
)


class MethodError(ValueError):
    """A method cannot be used in this way; the message says what was expected, what came and what to do."""


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters: AdamW, linear warm-up then linear decay to zero, last checkpoint, no model selection.

    `batch_size` rows make one update, in `micro_batches` parts; `warmup_share` is of all updates; `max_grad_norm` bounds the
    global gradient norm; `gradient_checkpointing` recomputes activations in the backward pass; `options` are the method's own.
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
    """What the loop trains: rows of token ids, a target for each (first dimension), and the mean loss of some of them.

    `own` are parameters that train with the model's without being part of it, such as a source task's head.
    """

    recipe: Recipe
    rows: Rows
    targets: torch.Tensor
    loss: Loss
    extra_parameters: Sequence[nn.Parameter] = ()


class SeedContext(Protocol):
    """The sample that a seed draws from a task, and what a method may ask of it: no row on which it is tested.

    `shots` is the number of rows of each class. training/prepared_seed.py makes it.
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
        """The seed's training sample."""

    @property
    def labels(self) -> torch.Tensor:
        """The class of each row of the sample, (rows,)."""

    @property
    def rows(self) -> Rows:
        """The sample as the method renders it."""

    @property
    def decoder(self) -> bool:
        """Whether the base model writes text, and keeps keys and values of what it read."""

    @property
    def encoder_decoder(self) -> bool:
        """Whether the base model reads with one half and writes with the other."""

    def fits(self, text: str) -> bool:
        """Whether the model can read the whole text."""

    def stage(self, recipe: Recipe) -> Stage:
        """The task itself: the method's rows, targets and loss."""

    def source_task(self, task: str, shots: int) -> SeedContext:
        """The same seed of a source task that the method declares, with `shots` rows a class."""

    def base_logits(self, texts: list[str]) -> torch.Tensor:
        """What the untouched base model gives the verbalizers after each text: logits, (rows, classes)."""

    def text_stage(self, recipe: Recipe, model: nn.Module, count: int) -> Stage:
        """Language modelling on `count` unlabelled rows of the training pool, through `model`'s own base weights."""


class Method:
    """Full fine-tuning, and the hooks by which others differ from it.

    `ask` is "head" (a new classification head), "pattern" (the language model's head at the verbalizers) or "answer" (the
    language model writes the answer, of which alone the loss is taken). `base` names the base model's weights in a
    checkpoint.
    """

    name: ClassVar[str]
    output_modes: ClassVar[tuple[OutputMode, ...]] = (
        "head",
        "pattern",
        "answer",
    )  # the first is the default
    trains: ClassVar[bool] = True
    starts_as_base_model: ClassVar[bool] = (
        True  # before the first update its outputs are the base model's
    )
    mergeable: ClassVar[bool] = False  # `merge` leaves a plain base model with the same outputs
    recipes: ClassVar[Mapping[str, Recipe]]  # scale of the profile ("pocket", "paper") -> recipe

    def __init__(
        self, recipe: Recipe, output_mode: OutputMode | None = None, base: str = ""
    ) -> None:
        self.recipe, self.output_mode, self.base = recipe, output_mode or self.output_modes[0], base

    def option(self, name: str) -> Any:
        """An option of the recipe."""
        return self.recipe.options[name]

    def int_option(self, name: str, minimum: int = 1) -> int:
        """An option that counts something; anything under `least` is a `MethodError`."""
        value = self.option(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise MethodError(
                f"{self.name}: expected {name} to be a whole number of at least {minimum}, got {value!r}"
            )
        return value

    def sources(self) -> tuple[str, ...]:
        """The option `sources`, names of other tasks; none without it, and one that is no task is a `MethodError`."""
        from pytest_ftcompare import tasks

        given = self.recipe.options.get("sources", ())
        names = (given,) if isinstance(given, str) else tuple(given)
        for name in names:
            if name not in tasks.NAMES or names.count(name) > 1:
                raise MethodError(
                    f"{self.name}: expected different tasks as sources, of {', '.join(tasks.NAMES)}; got {name!r}"
                )
        return names

    @property
    def num_virtual_tokens(self) -> int:
        """Positions that the method's own tokens take from the text's."""
        return 0

    def load_options(self) -> dict[str, Any]:
        """What `from_pretrained` is given besides the path, such as a quantisation."""
        return {}

    def after_load(self, model: nn.Module) -> None:
        """What the freshly loaded base model needs before anything is computed with it."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Freeze, wrap or extend the freshly loaded base model; here: nothing, every weight trains."""
        return model

    def render(self, task: Task, example: Example, support: Sequence[Example], fits: FitsModel) -> str:
        """What the model reads for `example`; `support` is the seed's training sample, `fits` tells the model's length."""
        template = task.text_template if self.output_mode == "head" else task.pattern
        return template.format(**example.fields)

    def targets(self, context: SeedContext) -> torch.Tensor:
        """What to learn from each row of the sample: the index of its class, (rows,)."""
        return context.labels

    def stages(self, model: nn.Module, context: SeedContext) -> Iterator[Stage]:
        """What is trained, one after the other; the model may be changed in between. Here: the task."""
        yield context.stage(self.recipe)

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean over rows; `logits` are (rows, classes): the head's, or the language model's at the verbalizers."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits.float(), targets)

    def penalty(self, model: nn.Module) -> torch.Tensor | float:
        """What is added to the loss that does not depend on the rows."""
        return 0.0

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        """After each update, its gradients still there; `step` counts from 1, and 0 is before the first."""

    def may_skip_gradient(self, name: str) -> bool:
        """Whether a tensor that trains may go without a gradient in some steps."""
        return False

    def merge(self, model: nn.Module) -> nn.Module:
        """The model without the method's own modules."""
        raise MethodError(f"{self.name} cannot be merged into its base model")

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write what was trained as safetensors, and whose it is as JSON, as peft does."""
        self.write(model, folder)
        who = {
            "method": self.name,
            "base": self.base,
            "output_mode": self.output_mode,
            "options": dict(self.recipe.options),
        }
        (folder / OWNER_FILE).write_text(f"{json.dumps(who, indent=1)}\n", encoding="utf-8")

    def restore(self, model: nn.Module, folder: Path) -> nn.Module:
        """`model`, freshly loaded, with what `save` wrote; a checkpoint of something else is a `MethodError`."""
        try:
            who = dict(json.loads((folder / OWNER_FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise MethodError(
                f"expected a checkpoint of {self.name} in {folder}, its {OWNER_FILE} cannot be read: {error}"
            ) from None
        for what, mine in (
            ("method", self.name),
            ("base", self.base),
            ("output_mode", self.output_mode),
        ):
            if who.get(what) != mine:
                raise MethodError(
                    f"expected a checkpoint with {what} {mine!r} in {folder}, it has {who.get(what)!r}"
                )
        options = json.loads(
            json.dumps(dict(self.recipe.options))
        )  # as they are read back: a tuple is a list
        for name in sorted(options.keys() | who.get("options", {}).keys()):
            was, mine = who.get("options", {}).get(name), options.get(name)
            if was != mine:
                raise MethodError(
                    f"expected a checkpoint with option {name} {mine!r} in {folder}, it has {was!r}"
                )
        return self.read(model, folder)

    def checkpoint_parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """What a checkpoint holds, by name: all that trains."""
        return {name: p for name, p in model.named_parameters() if p.requires_grad}

    def write(self, model: nn.Module, folder: Path) -> None:
        """The tensors that `save` writes."""
        from safetensors.torch import save_file

        if kept := {
            name: p.detach().contiguous() for name, p in self.checkpoint_parameters(model).items()
        }:
            save_file(kept, str(folder / "model.safetensors"))

    def read(self, model: nn.Module, folder: Path) -> nn.Module:
        """`apply`, then the tensors that `write` wrote: all of them and no others."""
        from safetensors.torch import load_file

        model = self.apply(model)
        file = folder / "model.safetensors"
        saved = load_file(str(file)) if file.exists() else {}
        wanted = self.checkpoint_parameters(model)
        if saved.keys() != wanted.keys():
            odd = sorted(saved.keys() ^ wanted.keys())[0]
            raise MethodError(
                f"{file} and the model disagree on what {self.name} keeps: {odd} is in only one of them"
            )
        for name, parameter in wanted.items():
            if saved[name].shape != parameter.shape:
                shapes = f"{list(saved[name].shape)}, the model has {list(parameter.shape)}"
                raise MethodError(
                    f"{file} is for another base model or other options: its {name} is {shapes}"
                )
            parameter.data.copy_(saved[name])
        return model
