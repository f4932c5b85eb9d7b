"""LoRA through peft: W + (alpha / r) B A on the attention's query and value projections, B zero at the start.

Hu et al. 2021 (arXiv:2106.09685). The classification head trains with it. The study of few-shot methods uses full
fine-tuning's learning rate of 1e-5, at which nothing moves in so few steps; here the paper's own order of 2e-4 and above.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .base import Method, Recipe

if TYPE_CHECKING:
    from torch import nn


class Lora(Method):
    base_at_start = True
    mergeable = True
    recipes = {
        "pocket": Recipe(lr=5e-3, epochs=20, accumulate=2, options={"r": 8, "alpha": 16, "dropout": 0.1}),
        "paper": Recipe(lr=2e-4, epochs=40, batch=32, options={"r": 8, "alpha": 8, "dropout": 0.1}),
    }

    def apply(self, model: nn.Module) -> nn.Module:
        from peft import LoraConfig, TaskType, get_peft_model

        options = self.recipe.options
        config = LoraConfig(
            task_type=TaskType.SEQ_CLS if self.ask == "head" else TaskType.CAUSAL_LM,
            r=options["r"],
            lora_alpha=options["alpha"],
            lora_dropout=options["dropout"],
        )
        return get_peft_model(model, config)

    def merge(self, model: nn.Module) -> nn.Module:
        from peft import PeftModel

        assert isinstance(model, PeftModel)
        merged: nn.Module = model.merge_and_unload()
        return merged

    def save(self, model: nn.Module, folder: Path) -> None:
        from peft import PeftModel

        assert isinstance(model, PeftModel)
        model.save_pretrained(str(folder))

    def restore(self, model: nn.Module, folder: Path) -> None:
        from peft import set_peft_model_state_dict
        from safetensors.torch import load_file

        set_peft_model_state_dict(model, load_file(str(folder / "adapter_model.safetensors")))


METHOD = Lora
