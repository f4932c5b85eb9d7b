"""Start a prefix or soft tokens at what the base model computes for real text.

With few examples this is far better than a random start: Li and Liang 2021 (arXiv:2101.00190,
section 7.4) for prefixes, Lester et al. 2021 (arXiv:2104.08691) for prompts. The same holds here: a
random prefix takes the attention that the text needs, and a small model does not recover.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..base import MethodError, SeedContext
from .prefix import Prefix


def _first_tokens(model: nn.Module, context: SeedContext, length: int) -> torch.Tensor:
    """Return the first `length` tokens of the training rows in sequence, (1, length).

    Too few tokens are repeated. A length above the model's positions raises `MethodError`.
    """
    config: Any = model.config
    most = getattr(config, "max_position_embeddings", length)
    if length > most:
        raise MethodError(
            f"{context.method}: expected length to be at most {most}, the positions that the model "
            f"has, got {length}"
        )
    tokens = [token for row in context.rows for token in row]
    tokens = (tokens * -(-length // len(tokens)))[:length]
    return torch.tensor([tokens], device=next(model.parameters()).device)


@torch.no_grad()
def _keys_and_values(model: nn.Module, context: SeedContext, length: int) -> list[torch.Tensor]:
    """Return keys and values of the training rows' first tokens, layer by layer.

    Each tensor is (length, heads, head width); a layer's keys precede its values.
    """
    ids = _first_tokens(model, context, length)
    model.eval()
    cache: Any = model(
        input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True
    ).past_key_values
    return [
        states[0].transpose(0, 1) for layer in cache.layers for states in (layer.keys, layer.values)
    ]


def _solve_layer(last: nn.Linear, inner: torch.Tensor, wanted: torch.Tensor) -> None:
    """Set a linear layer so that it maps the inputs `inner` to `wanted`.

    The solution is exact if there are no more rows than input features.
    """
    last.bias.copy_(wanted.mean(0))
    last.weight.copy_((torch.linalg.pinv(inner.double()) @ (wanted - last.bias).double()).T)


def start_prefixes(model: nn.Module, context: SeedContext, scale: float = 1.0) -> None:
    """Set this project's own prefixes, times `scale`, which makes up for a gate.

    An encoder caches no keys, so its prefixes stay random.
    """
    if not context.decoder:
        return
    prefixes = [module for module in model.modules() if isinstance(module, Prefix)]
    for prefix in prefixes:
        prefix.masked = True
    states = _keys_and_values(model, context, len(prefixes[0].key))
    for layer, prefix in enumerate(prefixes):
        prefix.masked = False
        prefix.key.data.copy_(states[2 * layer].flatten(1) * scale)
        prefix.value.data.copy_(states[2 * layer + 1].flatten(1) * scale)


@torch.no_grad()
def start_peft_prefix(model: Any, length: int, context: SeedContext) -> None:
    """Set PEFT's prefix; with an MLP, solve the MLP's last layer for it."""
    if not context.decoder:
        return
    # (length, 2 * layers, heads, head width)
    states = torch.stack(_keys_and_values(model.get_base_model(), context, length), dim=1)
    wanted = states.reshape(length, -1)
    encoder: Any = model.prompt_encoder["default"]
    if not encoder.prefix_projection:
        encoder.embedding.weight.copy_(wanted)
        return
    _solve_layer(encoder.transform[-1], encoder.transform[:-1](encoder.embedding.weight), wanted)


@torch.no_grad()
def start_soft_tokens(model: Any, length: int, context: SeedContext) -> None:
    """Set the prompt encoder's output to the embeddings of the training rows' first tokens.

    The model is PEFT's or `SoftTokens`. With an MLP, its last layer is solved for the output.
    """
    # PEFT has a prompt for each half, and the decoder's half has no text to start at.
    if context.encoder_decoder:
        return
    base = model.get_base_model()
    wanted = base.get_input_embeddings()(_first_tokens(base, context, length))[0]
    encoder = model.prompt_encoder
    if isinstance(encoder, nn.ModuleDict):  # PEFT's, one per adapter
        encoder = encoder["default"]
    if not hasattr(encoder, "mlp_head"):
        encoder.embedding.weight.copy_(wanted)
        return
    inner = encoder.embedding.weight
    if hasattr(encoder, "lstm_head"):
        inner = encoder.lstm_head(inner)[0]
    _solve_layer(encoder.mlp_head[-1], encoder.mlp_head[:-1](inner), wanted)
