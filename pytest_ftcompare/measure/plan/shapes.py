"""Find the model configuration to plan for: a published one by name, or any config.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
}
# facebook/opt-6.7b, and the first LLaMA of 7 and 13 billion (arXiv:2205.01068, arXiv:2302.13971).
SHAPES: dict[str, dict[str, Any]] = {
    "opt-6.7b": {
        "model_type": "opt",
        "vocab_size": 50272,
        "max_position_embeddings": 2048,
        "hidden_size": 4096,
        "word_embed_proj_dim": 4096,
        "ffn_dim": 16384,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
    "llama-7b": LLAMA
    | {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
    "llama-13b": LLAMA
    | {
        "hidden_size": 5120,
        "intermediate_size": 13824,
        "num_hidden_layers": 40,
        "num_attention_heads": 40,
    },
}


class ShapeError(ValueError):
    """The shape is unknown or cannot be planned for; the message states what to give instead."""


def _check_causal(config: PreTrainedConfig, where: str) -> PreTrainedConfig:
    """Return the configuration, or raise `ShapeError` if it has no causal language model."""
    name = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type)
    if name is None or config.is_encoder_decoder:
        raise ShapeError(
            f"expected a decoder to plan for, the {config.model_type} of {where} has no causal "
            "language model"
        )
    config.architectures = [name]
    return config


def config_of(shape: str) -> PreTrainedConfig:
    """Return the configuration for a name in `SHAPES`, a config.json, or a folder with one.

    Downloads nothing. Raises `ShapeError`.
    """
    if shape in SHAPES:
        return _check_causal(AutoConfig.for_model(**SHAPES[shape]), shape)
    path = Path(shape)
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        raise ShapeError(
            f"expected one of {', '.join(SHAPES)}, a config.json or a folder with one, "
            f"got {shape!r}"
        )
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(file)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ShapeError(
            f"expected the configuration of a transformers model in {file}: "
            f"{str(error).splitlines()[0]}"
        ) from None
    return _check_causal(config, str(file))
