"""LoRA with PEFT: train W + (alpha / r) B A on the attention's query and value projections.

Hu et al. 2021 (arXiv:2106.09685). B starts at zero, and a classification head trains too. The study
of few-shot methods uses full fine-tuning's learning rate of 1e-5, at which LoRA learns nothing in
so few steps; here it is the paper's order of 2e-4 and above. Instruction tuning adapts all linear
layers, as Sun et al. 2023 (arXiv:2304.08109) do. Its epochs and batches are full
fine-tuning's, unlike theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from .base import Recipe
from .through_peft import PeftMethod

if TYPE_CHECKING:
    from torch import nn

OPTIONS: Mapping[str, Any] = {"r": 8, "alpha": 16, "dropout": 0.1, "targets": None}


class Lora(PeftMethod):
    name = "lora"
    variant: ClassVar[Mapping[str, Any]] = {}  # more arguments of LoraConfig
    recipes = {
        "pocket": Recipe(lr=0.005, epochs=20, micro_batches=2, options=OPTIONS),
        "paper": Recipe(lr=2e-4, epochs=40, batch_size=32, options={**OPTIONS, "alpha": 8}),
        "pocket, answer": Recipe(
            lr=0.005, epochs=8, options={**OPTIONS, "dropout": 0.0, "targets": "all-linear"}
        ),
        "paper, answer": Recipe(
            lr=2e-4,
            epochs=3,
            batch_size=32,
            warmup_share=0.03,
            options={**OPTIONS, "targets": "all-linear"},
        ),
    }

    def config(self, model: nn.Module) -> Any:
        from peft import LoraConfig

        return LoraConfig(
            r=self.int_option("r"),
            lora_alpha=self.option("alpha"),
            lora_dropout=self.option("dropout"),
            target_modules=self.target_modules(model),
            **self.variant,
        )


METHODS = (Lora,)
