"""Faults of precision: weights, sums and gradients in fewer bits than requested."""

from __future__ import annotations

from typing import Any

from .change import Case, fault, patch

LORA = Case("lora", shots=16)


@fault("precision", LORA)
def loaded_in_bfloat16() -> None:
    """The requested type is ignored: the base model is loaded in bfloat16."""
    import torch

    from pytest_ftcompare.training import base_model

    @patch(base_model, "read")
    def narrow(real: Any, *how: Any) -> Any:
        loaded = real(*how)
        loaded.model.to(torch.bfloat16)
        return loaded


@fault("precision", LORA)
def weights_rounded_to_bfloat16() -> None:
    """The base model's weights were rounded to bfloat16 on their way to float32."""
    from pytest_ftcompare.training import base_model

    @patch(base_model, "read")
    def rounded(real: Any, *how: Any) -> Any:
        loaded = real(*how)
        for one in loaded.model.parameters():
            one.data = one.data.bfloat16().float()
        return loaded


@fault("precision", LORA, upstream="https://github.com/huggingface/peft/issues/1090")
def adapters_in_float16() -> None:
    """The adapters are cast to float16."""
    import torch
    from peft import PeftModel

    @patch(PeftModel, "__init__")
    def narrow(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named)
        for name, one in self.named_parameters():
            if "lora_" in name:
                one.data = one.data.to(torch.float16)


@fault("precision", LORA)
def products_in_bfloat16() -> None:
    """Linear layers multiply in bfloat16, as if a processor's fast path were on by default."""
    import torch

    @patch(torch.nn.functional, "linear")
    def fast(real: Any, input: Any, weight: Any, bias: Any = None) -> Any:
        narrow = None if bias is None else bias.bfloat16()
        return real(input.bfloat16(), weight.bfloat16(), narrow).to(input.dtype)


@fault("precision", LORA)
def gradients_in_bfloat16() -> None:
    """Gradients are kept in bfloat16."""
    from pytest_ftcompare.training import train

    @patch(train, "backward")
    def rounded(real: Any, model: Any, *arguments: Any) -> Any:
        losses = real(model, *arguments)
        for one in model.parameters():
            if one.grad is not None:
                one.grad = one.grad.bfloat16().float()
        return losses


@fault("precision", Case("pbft", shots=16))
def updates_rounded_to_bfloat16() -> None:
    """Weights are rounded to bfloat16 after each update, so that small updates are lost."""
    import torch

    @patch(torch.optim.AdamW, "step")
    def rounded(real: Any, self: Any, *arguments: Any) -> Any:
        done = real(self, *arguments)
        for group in self.param_groups:
            for one in group["params"]:
                one.data = one.data.bfloat16().float()
        return done


@fault("precision", LORA)
def attention_in_bfloat16() -> None:
    """Attention is computed in bfloat16."""
    import torch

    @patch(torch.nn.functional, "scaled_dot_product_attention")
    def narrow(
        real: Any, query: Any, key: Any, value: Any, attn_mask: Any = None, **named: Any
    ) -> Any:
        if attn_mask is not None and attn_mask.is_floating_point():
            attn_mask = attn_mask.bfloat16()
        return real(
            query.bfloat16(), key.bfloat16(), value.bfloat16(), attn_mask=attn_mask, **named
        ).to(query.dtype)
