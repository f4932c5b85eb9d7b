"""A trained prefix of keys and values in every layer's attention, for MAM and UniPELT.

    attention(q, [P_K; K], [P_V; V])

Li and Liang 2021 (arXiv:2101.00190), without the re-parametrisation.

It acts in the attention function, which transformers can register by name. So the text's positions
stay the same, and this code serves every architecture. A prefix of zeros still takes attention from
the text; only with a masked prefix is the model the base model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from ..base import MethodError
from .architecture import ModelLayout
from .bottleneck import device_of

ATTENTION_NAME = "with_prefix"


class Prefix(nn.Module):
    """`length` keys and values of one layer, (length, key width); `masked` hides them."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.key, self.value = (nn.Parameter(torch.randn(length, width) * 0.02) for _ in range(2))
        self.masked = False
        self.gate: torch.Tensor | None = None  # (rows, 1, 1) of the current batch, if gated

    def split_heads(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values, (rows, heads, length, head width).

        `like` are the text's keys, (rows, heads, positions, head width).
        """
        rows, heads, _, width = like.shape
        split = []
        for states in (self.key, self.value):
            batch = states.expand(rows, -1, -1) if self.gate is None else states * self.gate
            split.append(batch.view(rows, -1, heads, width).transpose(1, 2).to(like.dtype))
        return split[0], split[1]


def _attend_with_prefix(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    prefix = module._modules.get("prefix")
    if isinstance(prefix, Prefix) and not prefix.masked:
        prefix_key, prefix_value = prefix.split_heads(key)
        length = prefix_key.shape[2]
        if attention_mask is None:
            shape = (len(query), 1, query.shape[2], key.shape[2])
            attention_mask = torch.ones(shape, dtype=torch.bool, device=query.device)
            if getattr(module, "is_causal", True):
                attention_mask = attention_mask.tril(key.shape[2] - query.shape[2])
        visible = (
            torch.ones_like(attention_mask[..., :1])
            if attention_mask.dtype == torch.bool
            else attention_mask[..., :1] * 0
        )
        attention_mask = torch.cat(
            [visible.expand(*visible.shape[:-1], length), attention_mask], dim=-1
        )
        key, value = torch.cat([prefix_key, key], dim=2), torch.cat([prefix_value, value], dim=2)
    return sdpa_attention_forward(module, query, key, value, attention_mask, **others)


AttentionInterface.register(ATTENTION_NAME, _attend_with_prefix)
AttentionMaskInterface.register(ATTENTION_NAME, sdpa_mask)


def add_prefix(model: nn.Module, layout: ModelLayout, length: int) -> list[Prefix]:
    """Give every layer of `model` a prefix, as a child of its attention module."""
    pretrained: Any = model
    if not pretrained._supports_sdpa:
        raise MethodError(
            "expected a model that attends through scaled_dot_product_attention to add a prefix to "
            f"it, {type(model).__name__} does not: use prefix_tuning or p_tuning_v2, which use peft"
        )
    pretrained.set_attn_implementation(ATTENTION_NAME)
    prefixes = []
    for layer in layout.layers:
        attention = layout.module(layer, "attention")
        prefixes.append(Prefix(length, layout.key_width).to(device_of(attention)))
        attention.add_module("prefix", prefixes[-1])
    return prefixes
