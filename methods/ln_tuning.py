"""LayerNorm tuning with PEFT: train the normalisation layers' gains and biases, and the head.

Zhao et al. 2023 (arXiv:2312.11420). The modules come from `layers/architecture.py`, because PEFT's
table has no OPT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Recipe
from .through_peft import PeftMethod

if TYPE_CHECKING:
    from torch import nn


class LnTuning(PeftMethod):
    name = "ln_tuning"
    recipes = {
        "pocket": Recipe(lr=0.03, epochs=20),
        "paper": Recipe(lr=1e-3, epochs=40, batch_size=32),
    }

    def config(self, model: nn.Module) -> Any:
        from peft import LNTuningConfig

        from .layers.architecture import find_layout

        return LNTuningConfig(target_modules=list(find_layout(model).names.norms))


METHODS = (LnTuning,)
