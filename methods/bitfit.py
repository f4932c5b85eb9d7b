"""BitFit: train only the biases and the head.

Ben Zaken et al. 2021 (arXiv:2106.10199): 0.08 % of the parameters, lr about 1e-3. Models without
biases (LLaMA-style) have nothing to train and are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Method, MethodError, Recipe

if TYPE_CHECKING:
    from torch import nn


class BitFit(Method):
    name = "bitfit"
    recipes = {
        "pocket": Recipe(lr=0.01, epochs=20),
        "paper": Recipe(lr=1e-3, epochs=40, batch_size=32),
    }

    def apply(self, model: nn.Module) -> nn.Module:
        from .layers.head import freeze

        biases = {name for name, _ in model.base_model.named_parameters() if name.endswith("bias")}  # type: ignore[union-attr]
        if not biases:
            raise MethodError(
                f"bitfit: expected a base model with biases, {type(model).__name__} has none: "
                "use lora, or a model such as OPT or BERT"
            )
        return freeze(model, self.output_mode, keep=lambda name: name.endswith("bias"))


METHODS = (BitFit,)
