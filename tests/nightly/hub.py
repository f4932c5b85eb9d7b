"""Make a hub folder for the profile `nightly`: tiny random models under the real hub ids.

Architectures, tokenizers' special tokens and the data sets' columns are the real ones. Sizes,
weights and rows are not: rows are drawn so that a tiny model learns most of them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_ftcompare.checks.tiny_models import TOKENIZER

Row = dict[str, Any]
VOCABULARY = 1280
WIDTH = 64
OPT = {
    **{"vocab_size": VOCABULARY, "hidden_size": WIDTH, "ffn_dim": WIDTH},
    **{"num_attention_heads": 4, "max_position_embeddings": 512},
    **{"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 2},
}
QWEN = {
    **{"vocab_size": VOCABULARY, "hidden_size": WIDTH, "intermediate_size": WIDTH},
    **{"num_attention_heads": 4, "num_key_value_heads": 2},
    **{"max_position_embeddings": 512, "eos_token_id": 2, "tie_word_embeddings": True},
}
# As OPT-350m: normalisation after the sub-layers, embeddings narrower than the layers.
OPT_350M = OPT | {"word_embed_proj_dim": WIDTH // 2, "do_layer_norm_before": False}
# By id: the family's name in transformers, and its configuration.
MODELS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "facebook/opt-125m": ("OPT", OPT | {"word_embed_proj_dim": WIDTH}),
    "facebook/opt-350m": ("OPT", OPT_350M),
    **dict.fromkeys(
        ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-1.5B", "Qwen/Qwen2.5-0.5B-Instruct"), ("Qwen2", QWEN)
    ),
}
# Standard deviation of a new head's weights. It is small, because the recipes' learning rates are
# those of large models: a tiny model's head could not move away from a usual draw.
HEAD_STD = 0.001
# Share of rows with the wrong label, so that no score reaches the ceiling.
WRONG_LABELS = 0.15
ENDINGS = (("yesterday", "again", "there"), ("loudly", "often", "slowly"))  # by class
NOUNS = ("dog", "cat", "king", "nurse", "judge", "student", "pilot", "baker", "fox", "goat")
VERBS = ("sleeps", "waits", "sings", "runs", "falls", "smiles", "dances", "works", "stops")
ADJECTIVES = ("old", "new", "young", "small", "large", "loud", "clean", "dirty", "fast", "slow")


def make(folder: Path, layers: int) -> Path:
    """Write all models, with this many layers, and data sets of the profile; return the folder."""
    for number, (name, (family, config)) in enumerate(MODELS.items()):
        sized = {**config, "num_hidden_layers": layers}
        _save_model(folder / "models" / name, family, sized, number)
    for name, splits in _data_sets().items():
        path = folder / "datasets" / name
        path.mkdir(parents=True)
        for split, rows in splits.items():
            text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
            (path / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return folder


def _save_model(path: Path, family: str, config: dict[str, Any], seed: int) -> None:
    import torch
    import transformers

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model_class = getattr(transformers, f"{family}ForCausalLM")
        model = model_class(getattr(transformers, f"{family}Config")(**config))
        with torch.no_grad():
            for parameter in model.parameters():
                # Wide, so that the outputs of a random model differ.
                parameter.add_(torch.randn_like(parameter) * 0.2)
    setattr(model.config, "init_std" if family == "OPT" else "initializer_range", HEAD_STD)
    model.save_pretrained(path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(TOKENIZER)
    if family == "Qwen2":
        # As Qwen's: no text begins with a special token.
        tokenizer.backend_tokenizer.post_processor = _no_special_tokens()
        tokenizer.bos_token = None
    tokenizer.save_pretrained(path)


def _no_special_tokens() -> Any:
    from tokenizers.processors import ByteLevel

    return ByteLevel(trim_offsets=False)


def _data_sets() -> dict[str, dict[str, list[Row]]]:
    return {
        "nyu-mll/cola": {
            name: list(_sentences(random.Random(f"cola {name}"), count))
            for name, count in (("train", 400), ("validation", 80), ("ood", 40))
        },
        "nyu-mll/mnli": {
            name: list(_pairs(random.Random(f"mnli {name}"), count))
            for name, count in (("train", 600), ("validation", 120))
        },
        "jhu-cogsci/hans": {"validation": list(_hans(random.Random("hans"), 40))},
        "llamafactory/alpaca_zh_demo": {"train": list(_chinese(random.Random("zh"), 400))},
        "BelleGroup/eval_set": {"test": list(_belle(random.Random("belle"), 20))},
        "llamafactory/alpaca_en_demo": {"train": list(_english(random.Random("en"), 400))},
    }


def _clause(rng: random.Random) -> str:
    return f"the {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)} {rng.choice(VERBS)}"


def _noisy(rng: random.Random, label: int) -> int:
    return 1 - label if rng.random() < WRONG_LABELS else label


def _sentences(rng: random.Random, count: int) -> Iterator[Row]:
    """Yield distinct sentences whose last word tells the label, except in some."""
    seen: set[str] = set()
    while len(seen) < count:
        label = len(seen) % 2
        sentence = f"{_clause(rng)} and {_clause(rng)} {rng.choice(ENDINGS[label])}"
        if sentence not in seen:
            seen.add(sentence)
            yield {"sentence": sentence, "label": _noisy(rng, label)}


def _pairs(rng: random.Random, count: int) -> Iterator[Row]:
    """Yield pairs; the neutral ones (label 1) are for the task to drop."""
    for index in range(count):
        label = index % 3
        ending = rng.choice(ENDINGS[1 if label == 2 else 0])
        noisy = {0: 2, 1: 1, 2: 0}[label] if rng.random() < WRONG_LABELS else label
        premise = f"{_clause(rng)} and {_clause(rng)}"
        yield {"premise": premise, "hypothesis": f"{_clause(rng)} {ending}", "label": noisy}


def _hans(rng: random.Random, count: int) -> Iterator[Row]:
    for index in range(count):
        premise = f"{_clause(rng)} and {_clause(rng)}"
        hypothesis = f"{_clause(rng)} {rng.choice(ENDINGS[index % 2])}"
        heuristic = ("lexical_overlap", "subsequence", "constituent")[index % 3]
        yield {
            **{"premise": premise, "hypothesis": hypothesis, "label": _noisy(rng, index % 2)},
            "heuristic": heuristic,
        }


def _chinese(rng: random.Random, count: int) -> Iterator[Row]:
    for _ in range(count):
        words = [rng.choice("马狗猫鱼鸟羊牛虎") for _ in range(8)]
        yield {"instruction": "写出第一个字。", "input": "".join(words), "output": words[0]}


def _belle(rng: random.Random, count: int) -> Iterator[Row]:
    for _ in range(count):
        words = "".join(rng.choice("马狗猫鱼鸟羊牛虎") for _ in range(4))
        yield {"question": f"重复：{words}", "std_answer": words, "class": "rewrite"}


def _english(rng: random.Random, count: int) -> Iterator[Row]:
    for _ in range(count):
        number = rng.randrange(4, 9)
        words = " ".join(rng.choice(NOUNS) for _ in range(number))
        yield {"instruction": "Count the words.", "input": words, "output": str(number)}
