"""QLoRA: LoRA on every linear layer of a base model in 4-bit NormalFloat with double quantisation.

Dettmers et al. 2023 (arXiv:2305.14314): Y = X dequantise(W_nf4) + (alpha / r) X A^T B^T; r = 64,
alpha = 16, lr 2e-4. It uses transformers, PEFT and bitsandbytes, also on a CPU. Merging into four
bits would round the adapter away, so it is refused; merge into the base model in 16 bits instead.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .base import MethodError, Recipe
from .lora import Lora

if TYPE_CHECKING:
    from torch import nn


class Qlora(Lora):
    name = "qlora"
    mergeable = False
    recipes = {
        "pocket": Recipe(
            lr=0.003,
            epochs=20,
            options={"r": 8, "alpha": 16, "dropout": 0.1, "targets": "all-linear"},
        ),
        "paper": Recipe(
            lr=2e-4,
            epochs=40,
            batch_size=32,
            options={"r": 64, "alpha": 16, "dropout": 0.1, "targets": "all-linear"},
        ),
    }

    def load_options(self) -> dict[str, Any]:
        if find_spec("bitsandbytes") is None:
            raise MethodError(
                "qlora: expected the package bitsandbytes, it is not installed: "
                "pip install bitsandbytes"
            )
        import torch
        from transformers import BitsAndBytesConfig

        return {
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=torch.float32,
                # A new head has no weights to quantise; transformers skips only some heads.
                llm_int8_skip_modules=["score", "classifier"]
                if self.output_mode == "head"
                else None,
            )
        }

    def after_load(self, model: nn.Module) -> None:
        from bitsandbytes.nn.modules import Linear4bit

        for module in model.modules():
            if isinstance(module, Linear4bit):
                # On CPUs with AVX512-BF16, bitsandbytes would repack weights in evaluation and
                # round their scales to bfloat16. This differs from training and from other
                # machines, and fails for widths that its blocks do not divide (docs/upstream.md).
                module.support_avx512bf16_for_cpu = False


METHODS = (Qlora,)
