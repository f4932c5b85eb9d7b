"""Partial fine-tuning: the last `layers` transformer layers, what follows them, and the head; all below stays frozen.

The study of few-shot methods (arXiv:2405.13181) calls this adaptive fine-tuning and trains the last two layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Method, MethodError, Recipe

if TYPE_CHECKING:
    from torch import nn


class Partial(Method):
    name = "partial"
    recipes = {
        "pocket": Recipe(lr=0.001, epochs=20, options={"layers": 2}),
        "paper": Recipe(lr=1e-5, epochs=40, batch_size=32, options={"layers": 2}),
    }

    def apply(self, model: nn.Module) -> nn.Module:
        from .layers.architecture import find_layout
        from .layers.head import freeze

        found = find_layout(model)
        count, present = self.int_option("layers"), len(found.layers)
        if count > present:
            raise MethodError(
                f"partial: expected layers to be at most {present}, as many as the model has, got {count}"
            )
        kept = tuple(f"{found.layers_path}.{number}." for number in range(present - count, present))
        return freeze(
            model, self.output_mode, keep=lambda name: name.startswith((*kept, *found.after))
        )


METHODS = (Partial,)
