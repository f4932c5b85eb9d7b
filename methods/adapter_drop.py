"""AdapterDrop: adapters that are left out of the lowest `drop` layers, in training and in inference.

Rücklé et al. 2020 (arXiv:2010.11918): 5 of 12 layers cost little accuracy and make inference faster, as nothing has to be
computed or back-propagated below the first adapter. With `random` each training step draws how many to drop (the paper's
robust variant), inference still drops `drop`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .adapter import PLACEMENTS, Adapter
from .base import MethodError, Recipe

if TYPE_CHECKING:
    from torch import nn

    from .layers.architecture import Places

OPTIONS: dict[str, Any] = {"placement": "pfeiffer", "size": 16, "drop": 1, "random": False}


class AdapterDrop(Adapter):
    name = "adapter_drop"
    norms = False  # or a model without any adapter left would not be the base model
    recipes = {
        "pocket": Recipe(lr=0.003, epochs=20, options=OPTIONS),
        "paper": Recipe(
            lr=1e-4, epochs=40, batch_size=32, options={**OPTIONS, "size": 48, "drop": 5}
        ),
    }

    def add(self, found: Places, where: tuple[str, ...]) -> None:
        drop, present = self.int_option("drop", minimum=0), len(found.layers)
        if drop > present:
            raise MethodError(
                f"adapter_drop: expected drop to be at most {present}, as many as there are layers, got {drop}"
            )
        super().add(found, where)
        for layer in found.layers[:drop]:
            for place in where:
                adapter: Any = found.of(layer, place).adapter
                adapter.dropped = True
                if not self.option("random"):
                    adapter.requires_grad_(False)

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        if not self.option("random"):
            return
        import torch

        from .layers.architecture import places

        found = places(model)
        drop = int(
            torch.randint(len(found.layers), ())
        )  # at least the highest layer keeps its adapter
        for number, layer in enumerate(found.layers):
            for place in PLACEMENTS[self.option("placement")]:
                adapter: Any = found.of(layer, place).adapter
                adapter.dropped_in_training = number < drop

    def may_skip_gradient(self, name: str) -> bool:
        return bool(self.option("random")) and ".adapter." in name


METHODS = (AdapterDrop,)
