"""Partial fine-tuning: train the last `layers` layers, the modules after them, and the head.

The study of few-shot methods (arXiv:2405.13181) calls this adaptive fine-tuning and trains the last
two layers.
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

        layout = find_layout(model)
        count, present = self.int_option("layers"), len(layout.layers)
        if count > present:
            raise MethodError(
                f"partial: expected layers to be at most {present}, the number of layers, "
                f"got {count}"
            )
        last = tuple(
            f"{layout.layers_path}.{number}." for number in range(present - count, present)
        )
        return freeze(
            model, self.output_mode, keep=lambda name: name.startswith((*last, *layout.after))
        )


METHODS = (Partial,)
