"""The contract of a method. Its defaults *are* full fine-tuning, so a method's file says only what differs.

A method is made with a `Recipe` and then asked, in this order: `apply` (freeze, wrap), `render` (what the model reads),
`loss`, `after_step`, `save`, `restore`. The loop that calls them is `pytest_ftcompare.experiment.train`, the only one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pytest_ftcompare.tasks import Example, Task

Ask = Literal["head", "pattern"]
Fits = Callable[[str], bool]


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters: AdamW, linear warm-up then linear decay to zero, last checkpoint, no model selection.

    `batch` rows make one update, in `accumulate` micro-batches; `warmup` is a share of all updates; `clip` bounds the
    global gradient norm; `options` are the method's own.
    """

    lr: float
    epochs: int
    batch: int = 16
    accumulate: int = 1
    warmup: float = 0.1
    weight_decay: float = 0.0
    clip: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)


class Method:
    """Full fine-tuning with a classification head, and the hooks by which others differ from it."""

    ask: ClassVar[Ask] = "head"
    trains: ClassVar[bool] = True
    base_at_start: ClassVar[bool] = False  # before the first update its outputs are the base model's
    mergeable: ClassVar[bool] = False  # `merge` leaves a plain base model with the same outputs
    recipes: ClassVar[Mapping[str, Recipe]]  # scale of the profile ("pocket", "paper") -> recipe

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def apply(self, model: nn.Module) -> nn.Module:
        """Freeze, wrap or extend the freshly loaded base model; here: nothing, every weight trains."""
        return model

    def render(self, task: Task, example: Example, support: Sequence[Example], fits: Fits) -> str:
        """What the model reads for `example`; `support` is the seed's training sample, `fits` tells the model's length."""
        template = task.plain if self.ask == "head" else task.pattern
        return template.format(**example.fields)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over rows; `logits` are (rows, classes): the head's, or the language model's at the verbalizers."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits.float(), labels)

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        """After each update, `step` counted from 1."""

    def merge(self, model: nn.Module) -> nn.Module:
        """The model without the method's own modules."""
        raise NotImplementedError(f"{type(self).__name__} cannot be merged into its base model")

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write what was trained as safetensors: the whole of a checkpoint's size."""
        from safetensors.torch import save_file

        trained = {name: p.detach().contiguous() for name, p in model.named_parameters() if p.requires_grad}
        if trained:
            save_file(trained, str(folder / "model.safetensors"))

    def restore(self, model: nn.Module, folder: Path) -> None:
        """Read into `model`, made by `apply` from the same base, what `save` wrote."""
        from safetensors.torch import load_file

        file = folder / "model.safetensors"
        if file.exists():
            result = model.load_state_dict(load_file(str(file)), strict=False)
            if result.unexpected_keys:
                raise RuntimeError(f"{file} has tensors that the model lacks: {', '.join(result.unexpected_keys[:3])}")
