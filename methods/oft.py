"""OFT with PEFT: train W R^T with R block-diagonal and orthogonal; R starts as the identity.

Qiu et al. 2023 (arXiv:2306.07280): R keeps the angles between neurons, to keep the base model's
knowledge. R = (I + Q)(I - Q)^-1 (Cayley) with Q skew-symmetric. PEFT approximates the inverse by
five terms of a Neumann series (arXiv:2506.19847).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import MethodError, Recipe
from .through_peft import PeftMethod

if TYPE_CHECKING:
    from torch import nn


class Oft(PeftMethod):
    name = "oft"
    recipes = {
        "pocket": Recipe(lr=0.003, epochs=20, options={"block": 16, "targets": None}),
        "paper": Recipe(lr=4e-4, epochs=40, batch_size=32, options={"block": 32, "targets": None}),
    }

    def config(self, model: nn.Module) -> Any:
        from peft import OFTConfig

        return OFTConfig(
            r=0, oft_block_size=self.int_option("block"), target_modules=self.target_modules(model)
        )

    def apply(self, model: nn.Module) -> nn.Module:
        adapted = super().apply(model)
        block = self.option("block")
        for name, module in adapted.named_modules():
            # PEFT would only warn, and train with another size than the recipe's.
            if (sizes := getattr(module, "oft_block_size", None)) and sizes["default"] != block:
                raise MethodError(
                    f"oft: expected block to divide the width of {name}, {block} does not: "
                    f"use {sizes['default']}"
                )
        return adapted


METHODS = (Oft,)
