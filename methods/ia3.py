"""(IA)3 with PEFT: scale keys, values and the feed-forward's inner activations by trained vectors.

The vectors start at one. Liu et al. 2022 (arXiv:2205.05638): k' = l_k * k, v' = l_v * v,
FFN = W2 (l_ff * f(W1 x)); lr 3e-3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Recipe
from .through_peft import PeftMethod

if TYPE_CHECKING:
    from torch import nn


class Ia3(PeftMethod):
    name = "ia3"
    recipes = {
        "pocket": Recipe(lr=0.1, epochs=20),
        "paper": Recipe(lr=3e-3, epochs=40, batch_size=32),
    }

    def config(self, model: nn.Module) -> Any:
        from peft import IA3Config

        from .layers.architecture import find_layout

        # Full names, because PEFT's own table has queries instead of values for OPT, and its
        # "output.dense" for BERT also matches a module of the attention.
        layout = find_layout(model)
        names = layout.names
        layers = [f"{layout.layers_path}.{number}" for number in range(len(layout.layers))]
        inner = [f"{layer}.{names.inner}" for layer in layers]
        scaled = [
            f"{layer}.{names.attention}.{name}"
            for layer in layers
            for name in (names.key, names.value)
        ]
        return IA3Config(target_modules=[*scaled, *inner], feedforward_modules=inner)


METHODS = (Ia3,)
