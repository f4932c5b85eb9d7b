"""The table of architectures: where this project's own methods find a model's modules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from ..base import MethodError


@dataclass(frozen=True)
class Architecture:
    """Module names, relative to the base model (`layers`, `after`) or to a layer.

    `after` are the modules after the last layer. `attention` calls the attention function. The
    outputs of `attention_out` and `ffn_out` are added to the residual. `ffn_in` takes the
    feed-forward's input, and `inner` is its last projection. `query`, `key` and `value` are names
    within the attention, `norms` the last parts of names.
    """

    layers: str
    after: tuple[str, ...]
    attention: str
    query: str
    key: str
    value: str
    attention_out: str
    ffn_in: str
    ffn_out: str
    inner: str
    norms: tuple[str, ...]


OPT = Architecture(
    layers="decoder.layers",
    after=("decoder.final_layer_norm", "decoder.project_out"),
    attention="self_attn",
    query="q_proj",
    key="k_proj",
    value="v_proj",
    attention_out="self_attn.out_proj",
    ffn_in="fc1",
    ffn_out="fc2",
    inner="fc2",
    norms=("self_attn_layer_norm", "final_layer_norm"),
)
LLAMA = Architecture(
    layers="layers",
    after=("norm",),
    attention="self_attn",
    query="q_proj",
    key="k_proj",
    value="v_proj",
    attention_out="self_attn.o_proj",
    ffn_in="mlp",
    ffn_out="mlp.down_proj",
    inner="mlp.down_proj",
    norms=("input_layernorm", "post_attention_layernorm", "norm"),
)
QWEN3 = replace(LLAMA, norms=(*LLAMA.norms, "q_norm", "k_norm"))
# Gemma 2 and 3 normalise a sub-layer's output before they add it to the residual.
GEMMA2 = replace(
    LLAMA,
    attention_out="post_attention_layernorm",
    ffn_out="post_feedforward_layernorm",
    norms=(*LLAMA.norms, "pre_feedforward_layernorm", "post_feedforward_layernorm"),
)
GEMMA3 = replace(GEMMA2, norms=(*GEMMA2.norms, "q_norm", "k_norm"))
BERT = Architecture(
    layers="encoder.layer",
    after=("pooler",),
    attention="attention.self",
    query="query",
    key="key",
    value="value",
    attention_out="attention.output.dense",
    ffn_in="intermediate.dense",
    ffn_out="output.dense",
    inner="output.dense",
    norms=("LayerNorm",),
)
ARCHITECTURES = {
    "opt": OPT,
    **dict.fromkeys(("llama", "mistral", "qwen2", "gemma"), LLAMA),
    "qwen3": QWEN3,
    "gemma2": GEMMA2,
    "gemma3_text": GEMMA3,
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "electra"), BERT),
}


@dataclass(frozen=True)
class ModelLayout:
    """An architecture in a given model: its layers, and full names of modules."""

    names: Architecture
    model_type: str
    layers_path: str
    layers: nn.ModuleList
    after: tuple[str, ...]
    width: int  # of hidden states
    # Of a position's keys, all heads together: less than `width` if heads share keys.
    key_width: int

    def module(self, layer: nn.Module, place: str) -> nn.Module:
        """Return the module of a layer at a place, a field of `Architecture`."""
        return layer.get_submodule(getattr(self.names, place))


def find_layout(model: nn.Module) -> ModelLayout:
    """Return the layout of `model`; an architecture outside the table raises `MethodError`."""
    config: Any = model.config
    names = ARCHITECTURES.get(config.model_type)
    if names is None:
        known = ", ".join(ARCHITECTURES)
        raise MethodError(
            f"expected an architecture of {known}, got {config.model_type}: add where its layers "
            "are to methods/layers/architecture.py, or use a method that does not need it, such as "
            "lora"
        )
    prefix: Any = model.base_model_prefix
    path = f"{prefix}.{names.layers}"
    layers = model.get_submodule(path)
    assert isinstance(layers, nn.ModuleList)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    after = tuple(f"{prefix}.{name}." for name in names.after)
    return ModelLayout(
        names, config.model_type, path, layers, after, config.hidden_size, head * heads
    )
