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
        "paper": Recipe(lr=3e-3, epochs=40, batch=32),
    }

    def config(self, model: nn.Module) -> Any:
        from peft import IA3Config

        from .layers.architecture import places

        # By name, because peft's own table has queries instead of values for OPT.
        names = places(model).names
        return IA3Config(target_modules=[names.key, names.value, names.inner], feedforward_modules=[names.inner])


METHODS = (Ia3,)
