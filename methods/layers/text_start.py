"""Starting a prefix or soft tokens at what the base model computes for real text.

Li and Liang 2021 (arXiv:2101.00190, section 7.4) found it far better than a random start with few examples, and Lester et al.
2021 (arXiv:2104.08691) for prompts. So it is here: a random prefix takes the attention that the text needs, and a small model
does not come back from it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..base import MethodError, SeedContext
from .prefix import Prefix


def _first_tokens(model: nn.Module, context: SeedContext, length: int) -> torch.Tensor:
    """The first `length` tokens of the sample, its rows one after the other, repeated where they are too few: (1, length).

    More than the model has positions are a `MethodError`.
    """
    config: Any = model.config
    most = getattr(config, "max_position_embeddings", length)
    if length > most:
        raise MethodError(
            f"{context.method}: expected length to be at most {most}, the positions that the model has, got {length}"
        )
    tokens = [token for row in context.rows for token in row]
    tokens = (tokens * -(-length // len(tokens)))[:length]
    return torch.tensor([tokens], device=next(model.parameters()).device)


@torch.no_grad()
def _keys_and_values(model: nn.Module, context: SeedContext, length: int) -> list[torch.Tensor]:
    """Of each layer first the keys, then the values, of the sample's first tokens: (length, heads, head width)."""
    ids = _first_tokens(model, context, length)
    model.eval()
    cache: Any = model(
        input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True
    ).past_key_values
    return [one[0].transpose(0, 1) for layer in cache.layers for one in (layer.keys, layer.values)]


def _solve_layer(last: nn.Linear, inner: torch.Tensor, wanted: torch.Tensor) -> None:
    """Set a linear layer such that the inputs `inner` give `wanted`, exactly where there are no more rows than inputs."""
    last.bias.copy_(wanted.mean(0))
    last.weight.copy_((torch.linalg.pinv(inner.double()) @ (wanted - last.bias).double()).T)


def start_prefixes(model: nn.Module, context: SeedContext, scale: float = 1.0) -> None:
    """Set this project's own prefixes, times what makes up for a gate; an encoder keeps no keys: its prefixes stay random."""
    if not context.decoder:
        return
    prefixes = [one for one in model.modules() if isinstance(one, Prefix)]
    for one in prefixes:
        one.masked = True
    found = _keys_and_values(model, context, len(prefixes[0].key))
    for at, one in enumerate(prefixes):
        one.masked = False
        one.key.data.copy_(found[2 * at].flatten(1) * scale)
        one.value.data.copy_(found[2 * at + 1].flatten(1) * scale)


@torch.no_grad()
def start_peft_prefix(model: Any, length: int, context: SeedContext) -> None:
    """Set the prefix of peft's; behind an MLP its last layer is solved for the outputs that are wanted."""
    if not context.decoder:
        return
    found = torch.stack(
        _keys_and_values(model.get_base_model(), context, length), dim=1
    )  # (length, 2 layers, heads, width)
    wanted = found.reshape(length, -1)
    encoder: Any = model.prompt_encoder["default"]
    if not encoder.prefix_projection:
        encoder.embedding.weight.copy_(wanted)
        return
    _solve_layer(encoder.transform[-1], encoder.transform[:-1](encoder.embedding.weight), wanted)


@torch.no_grad()
def start_soft_tokens(model: Any, length: int, context: SeedContext) -> None:
    """Set what the prompt encoder, peft's or ours, gives to the embeddings of the sample's first tokens."""
    if (
        context.encoder_decoder
    ):  # peft has a prompt for each of the two, and no text of the decoder's is at hand
        return
    base = model.get_base_model()
    wanted = base.get_input_embeddings()(_first_tokens(base, context, length))[0]
    encoder = model.prompt_encoder
    if isinstance(encoder, nn.ModuleDict):  # peft's, one for each adapter
        encoder = encoder["default"]
    if not hasattr(encoder, "mlp_head"):
        encoder.embedding.weight.copy_(wanted)
        return
    inner = encoder.embedding.weight
    if hasattr(encoder, "lstm_head"):
        inner = encoder.lstm_head(inner)[0]
    _solve_layer(encoder.mlp_head[-1], encoder.mlp_head[:-1](inner), wanted)
