"""VeRA with PEFT: train the vectors d and b of W + diag(b) B diag(d) A.

Kopiczko et al. 2023 (arXiv:2310.11454): B and A are random, frozen and shared by all layers; b
starts at zero; rank 256, learning rates about ten times LoRA's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Recipe
from .through_peft import PeftMethod

if TYPE_CHECKING:
    from torch import nn


class Vera(PeftMethod):
    name = "vera"
    recipes = {
        "pocket": Recipe(lr=0.03, epochs=20, options={"r": 64, "dropout": 0.0, "targets": None}),
        "paper": Recipe(
            lr=4e-3, epochs=40, batch_size=32, options={"r": 256, "dropout": 0.0, "targets": None}
        ),
    }

    def config(self, model: nn.Module) -> Any:
        from peft import VeraConfig

        return VeraConfig(
            r=self.int_option("r"),
            vera_dropout=self.option("dropout"),
            target_modules=self.target_modules(model),
            projection_prng_key=0,
            d_initial=0.1,
        )


METHODS = (Vera,)
