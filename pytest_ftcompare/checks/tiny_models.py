"""Make a random tiny model of every supported family, for exact checks, not for accuracy.

suites/test_invariants.py and suites/test_engines.py use them. Weights are drawn wide, so that
errors show in the outputs: with the usual 0.02, a tiny model's logits lie within 0.1 of each other,
and an error within a thousandth of that. torch and transformers are imported only when a model is
made, because suites read the families' names at collection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftcompare.tasks.hub import EMBEDDED

if TYPE_CHECKING:
    from torch import nn

Config = dict[str, Any]
MakeModel = Callable[[Any], Any]  # takes the module transformers, returns a model
TOKENIZER = EMBEDDED / "models" / "pocket" / "opt-0.4m"
TOKEN_IDS: Config = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 2}
SHAPE: Config = {
    "vocab_size": 1190,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.2,
}
DECODER: Config = SHAPE | TOKEN_IDS | {"max_position_embeddings": 192}
OPT: Config = DECODER | {"ffn_dim": 64, "init_std": 0.2}
GROUPED: Config = DECODER | {"intermediate_size": 64, "num_key_value_heads": 2}
LLAMA: Config = GROUPED | {"head_dim": 8}
# Not transformers' default, which a lost config would also give.
ROPE: Config = {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}
ENCODER: Config = SHAPE | {
    "intermediate_size": 64,
    "pad_token_id": 1,
    "max_position_embeddings": 200,
}
T5: Config = TOKEN_IDS | {
    "vocab_size": 1190,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 1,
}
GPT2: Config = TOKEN_IDS | {
    "vocab_size": 1190,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 192,
    "initializer_range": 0.2,
}
UNEVEN_OPT: Config = OPT | {"hidden_size": 42, "num_attention_heads": 6, "ffn_dim": 70}
UNEVEN_LLAMA: Config = (
    LLAMA
    | {
        "hidden_size": 42,
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
        "head_dim": 10,
        "intermediate_size": 74,
    }
    | ROPE
)
UNEVEN_GPT2: Config = GPT2 | {"n_embd": 42, "n_head": 6, "n_inner": 70}
UNEVEN_BERT: Config = ENCODER | {
    "hidden_size": 42,
    "num_attention_heads": 6,
    "intermediate_size": 75,
}

DECODERS: Mapping[str, MakeModel] = {
    "opt": lambda t: t.OPTForCausalLM(t.OPTConfig(**OPT, word_embed_proj_dim=32)),
    # The shape of OPT-350m: normalisation after the sub-layers, embeddings narrower than the layers
    "opt_post": lambda t: t.OPTForCausalLM(
        t.OPTConfig(**OPT, word_embed_proj_dim=16, do_layer_norm_before=False)
    ),
    "llama": lambda t: t.LlamaForCausalLM(t.LlamaConfig(**LLAMA, **ROPE)),
    "mistral": lambda t: t.MistralForCausalLM(t.MistralConfig(**LLAMA)),
    "qwen2": lambda t: t.Qwen2ForCausalLM(t.Qwen2Config(**GROUPED)),
    "qwen3": lambda t: t.Qwen3ForCausalLM(t.Qwen3Config(**LLAMA)),
    "gemma": lambda t: t.GemmaForCausalLM(t.GemmaConfig(**LLAMA)),
    "gemma2": lambda t: t.Gemma2ForCausalLM(t.Gemma2Config(**LLAMA)),
    "gemma3": lambda t: t.Gemma3ForCausalLM(t.Gemma3TextConfig(**LLAMA)),
}
ENCODERS: Mapping[str, MakeModel] = {
    "bert": lambda t: t.BertModel(t.BertConfig(**ENCODER)),  # with its pooler
    "roberta": lambda t: t.RobertaForMaskedLM(t.RobertaConfig(**ENCODER)),
    "xlm_roberta": lambda t: t.XLMRobertaForMaskedLM(t.XLMRobertaConfig(**ENCODER)),
    "electra": lambda t: t.ElectraModel(t.ElectraConfig(**ENCODER, embedding_size=16)),
}
# Families for methods that use PEFT only, or need nothing of the architecture.
OTHER_FAMILIES: Mapping[str, MakeModel] = {
    "gpt2": lambda t: t.GPT2LMHeadModel(t.GPT2Config(**GPT2)),
    "t5": lambda t: t.T5ForConditionalGeneration(t.T5Config(**T5)),
}
# Widths that are no power of two and that no vector register divides. LLaMA's heads are wider than
# their share of the layer, with grouped keys.
UNEVEN_WIDTHS: Mapping[str, MakeModel] = {
    "opt_uneven": lambda t: t.OPTForCausalLM(
        t.OPTConfig(**UNEVEN_OPT, word_embed_proj_dim=22, do_layer_norm_before=False)
    ),
    "llama_uneven": lambda t: t.LlamaForCausalLM(t.LlamaConfig(**UNEVEN_LLAMA)),
    "gpt2_uneven": lambda t: t.GPT2LMHeadModel(t.GPT2Config(**UNEVEN_GPT2)),
    "bert_uneven": lambda t: t.BertModel(t.BertConfig(**UNEVEN_BERT)),
}
FAMILIES = {**DECODERS, **ENCODERS, **OTHER_FAMILIES, **UNEVEN_WIDTHS}
TASKS: Mapping[str, str] = {
    "head": "pocket_sst",
    "pattern": "pocket_sst",
    "answer": "pocket_instructions",
}  # by output mode


def perturb_vectors(model: nn.Module) -> None:
    """Change biases and gains, which initialisation leaves at zero or one, unlike training."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)


def save(name: str, hub: Path) -> str:
    """Return the id of a family's tiny model in a hub folder; make it if it is not there."""
    import torch
    import transformers

    model_id = f"tiny/{name}"
    path = hub / "models" / model_id
    if not path.is_dir():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = FAMILIES[name](transformers)
            perturb_vectors(model)
        model.save_pretrained(path)
        transformers.AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(path)
    return model_id
