"""Facts about a base model: its kind, the parameters of its forward, its positions.

`model_io.py` and `measure/plan` call it.
"""

from __future__ import annotations

import inspect
from typing import Any, Literal

from torch import nn

Kind = Literal["decoder", "encoder", "encoder-decoder"]
Arguments = tuple[Any, ...]


class ModelError(ValueError):
    """The base model cannot be used in this way; the message says why."""


def kind_of(config: Any) -> Kind:
    """Return the kind of model that a transformers configuration describes.

    Models of BERT's kind read in both directions: a language-model head on them is of no use here.
    """
    if config.is_encoder_decoder:
        return "encoder-decoder"
    causal = any(
        name.endswith(("ForCausalLM", "LMHeadModel")) for name in config.architectures or ()
    )
    return "decoder" if causal else "encoder"


def add_position_ids(
    base: nn.Module, arguments: Arguments, named: dict[str, Any]
) -> tuple[Arguments, dict[str, Any]] | None:
    """Forward pre-hook of a decoder: let positions count real and virtual tokens, not padding.

    Not every architecture derives positions from the mask of rows padded on the left, and PEFT's
    soft prompts drop positions that they are given.
    """
    mask = named.get("attention_mask")
    if named.get("position_ids") is not None or mask is None or mask.dim() != 2:
        return None
    tokens = arguments[0] if arguments else None
    tokens = next(
        value
        for value in (tokens, named.get("input_ids"), named.get("inputs_embeds"))
        if value is not None
    )
    positions = (mask.long().cumsum(1) - 1).clamp(min=0)
    return arguments, named | {"position_ids": positions[:, -tokens.shape[1] :]}


def forward_parameters(model: nn.Module) -> frozenset[str]:
    """Return the parameter names of the base model's forward, also inside a wrapper."""
    wrapper: Any = model
    base: nn.Module = wrapper.get_base_model() if hasattr(wrapper, "get_base_model") else model
    return frozenset(inspect.signature(base.forward).parameters)
