"""What a base model is: decoder or encoder, what its forward takes, how its positions count."""

from __future__ import annotations

import inspect
from typing import Any, Literal

from torch import nn

Kind = Literal["decoder", "encoder", "encoder-decoder"]
Arguments = tuple[Any, ...]


class ModelError(ValueError):
    """A base model cannot be asked in this way; the message says why."""


def kind_of(config: Any) -> Kind:
    """BERT-style models read in both directions and have no causal language-model head worth asking."""
    if config.is_encoder_decoder:
        return "encoder-decoder"
    causal = any(
        name.endswith(("ForCausalLM", "LMHeadModel")) for name in config.architectures or ()
    )
    return "decoder" if causal else "encoder"


def count_positions(
    base: nn.Module, arguments: Arguments, named: dict[str, Any]
) -> tuple[Arguments, dict[str, Any]] | None:
    """Forward pre-hook of a decoder: positions count the real tokens, a method's own included.

    Not every architecture derives them from the mask where rows are padded on the left, and peft's soft prompts drop those
    that they are given.
    """
    mask = named.get("attention_mask")
    if named.get("position_ids") is not None or mask is None or mask.dim() != 2:
        return None
    read = arguments[0] if arguments else None
    read = next(
        one for one in (read, named.get("input_ids"), named.get("inputs_embeds")) if one is not None
    )
    positions = (mask.long().cumsum(1) - 1).clamp(min=0)
    return arguments, named | {"position_ids": positions[:, -read.shape[1] :]}


def accepts(model: nn.Module) -> frozenset[str]:
    """What the forward of the base model takes, which may be inside peft's wrapper or one of ours."""
    wrapper: Any = model
    base: nn.Module = wrapper.get_base_model() if hasattr(wrapper, "get_base_model") else model
    return frozenset(inspect.signature(base.forward).parameters)
