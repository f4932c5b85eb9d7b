"""AdapterDrop: adapters without those of the lowest `drop` layers, in training and in inference.

Rücklé et al. 2020 (arXiv:2010.11918): dropping 5 of 12 layers costs little accuracy and makes
inference faster. Nothing is back-propagated below the first adapter. With `random`, each training
step draws how many to drop (the paper's robust variant); inference still drops `drop`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .adapter import PLACEMENTS, Adapter
from .base import MethodError, Recipe

if TYPE_CHECKING:
    from torch import nn

    from .layers.architecture import ModelLayout

OPTIONS: dict[str, Any] = {"placement": "pfeiffer", "size": 16, "drop": 1, "random": False}


class AdapterDrop(Adapter):
    name = "adapter_drop"
    train_norms = False  # so that a model with all adapters dropped is the base model
    recipes = {
        "pocket": Recipe(lr=0.003, epochs=20, options=OPTIONS),
        "paper": Recipe(
            lr=1e-4, epochs=40, batch_size=32, options={**OPTIONS, "size": 48, "drop": 5}
        ),
    }

    def add_adapters(self, layout: ModelLayout, places: tuple[str, ...]) -> None:
        drop, present = self.int_option("drop", minimum=0), len(layout.layers)
        if drop > present:
            raise MethodError(
                f"adapter_drop: expected drop to be at most {present}, the number of layers, "
                f"got {drop}"
            )
        super().add_adapters(layout, places)
        for layer in layout.layers[:drop]:
            for place in places:
                adapter: Any = layout.module(layer, place).adapter
                adapter.dropped = True
                if not self.option("random"):
                    adapter.requires_grad_(False)

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        if not self.option("random"):
            return
        import torch

        from .layers.architecture import find_layout

        layout = find_layout(model)
        # Below the number of layers: the highest layer always keeps its adapter.
        drop = int(torch.randint(len(layout.layers), ()))
        for number, layer in enumerate(layout.layers):
            for place in PLACEMENTS[self.option("placement")]:
                adapter: Any = layout.module(layer, place).adapter
                adapter.dropped_in_training = number < drop

    def may_skip_gradient(self, name: str) -> bool:
        return bool(self.option("random")) and ".adapter." in name


METHODS = (AdapterDrop,)
