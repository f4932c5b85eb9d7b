"""(IA)3 through peft: keys, values and the feed-forward's inner activations are scaled by trained vectors that start at one.

Liu et al. 2022 (arXiv:2205.05638): k' = l_k * k, v' = l_v * v, FFN = W2 (l_ff * f(W1 x)); lr 3e-3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Recipe
from .through_peft import ThroughPeft

if TYPE_CHECKING:
    from torch import nn


class Ia3(ThroughPeft):
    name = "ia3"
    recipes = {
        "pocket": Recipe(lr=0.1, epochs=20),
        "paper": Recipe(lr=3e-3, epochs=40, batch_size=32),
    }

    def config(self, model: nn.Module) -> Any:
        from peft import IA3Config

        from .layers.architecture import places

        # By full name: peft's own table has queries instead of values for OPT, and its "output.dense" for BERT is in the
        # attention too.
        found = places(model)
        names = found.names
        layers = [f"{found.path}.{number}" for number in range(len(found.layers))]
        inner = [f"{one}.{names.inner}" for one in layers]
        scaled = [
            f"{one}.{names.attention}.{name}" for one in layers for name in (names.key, names.value)
        ]
        return IA3Config(target_modules=[*scaled, *inner], feedforward_modules=inner)


METHODS = (Ia3,)
