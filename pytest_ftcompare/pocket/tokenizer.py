"""The tokenizer of the pocket models: byte-level BPE as in GPT-2 and OPT, so that any text in any script can be read."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftcompare.pocket.corpus import documents

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

VOCABULARY = 1280
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # OPT's ids 0 to 3
# transformers 5 adds these keys: they describe how it loaded the tokenizer, not the tokenizer.
LOADING = {"backend", "is_local", "local_files_only"}


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, target: Path) -> None:
    """Save in HF format so that transformers 4 and 5 both load it.

    transformers 5 writes a class name that 4 lacks; both know `PreTrainedTokenizerFast`.
    """
    tokenizer.save_pretrained(target)
    file = target / "tokenizer_config.json"
    config = {
        key: value for key, value in json.loads(file.read_text()).items() if key not in LOADING
    }
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    file.write_text(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def train_tokenizer(target: Path, seed: int = 7, count: int = 60_000) -> None:
    """Train on the first documents of the corpus and save in HF format; a text is framed by `</s>` at its start, as in OPT."""
    from tokenizers import (
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    # A word is the same token at the start of a text as within it; a Chinese character is a unit of its own.
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(" "), normalizers.Replace(Regex("^ +"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = ("".join(text for text, _ in one) for one in islice(documents(seed), count))
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="</s> $A", pair="</s> $A </s> $B", special_tokens=[("</s>", SPECIAL.index("</s>"))]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="</s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        model_max_length=192,
        clean_up_tokenization_spaces=False,
    )
    save_tokenizer(fast, target)
