"""Train the pocket models' tokenizer: byte-level BPE as in GPT-2 and OPT, which reads any script.

`scripts/make_pocket.py` calls `train_tokenizer`; `pretrain.py` calls `save_tokenizer`.
"""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftcompare.pocket.corpus import documents

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

VOCABULARY_SIZE = 1280
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")  # OPT's ids 0 to 3
# transformers 5 adds these keys. They describe how it loaded the tokenizer, not the tokenizer.
LOADING_KEYS = {"backend", "is_local", "local_files_only"}


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, target: Path) -> None:
    """Save in HF format so that transformers 4 and 5 both load it.

    transformers 5 writes a class name that 4 lacks; both know `PreTrainedTokenizerFast`.
    """
    tokenizer.save_pretrained(target)
    file = target / "tokenizer_config.json"
    config = {
        key: value for key, value in json.loads(file.read_text()).items() if key not in LOADING_KEYS
    }
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    file.write_text(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def train_tokenizer(target: Path, seed: int = 7, count: int = 60_000) -> None:
    """Train on the first `count` documents of the corpus and save in HF format.

    As in OPT, a text begins with `</s>`.
    """
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
    # A word at the start of a text gets the same token as within it. Each Chinese character is
    # split off.
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
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = ("".join(text for text, _ in document) for document in islice(documents(seed), count))
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="</s> $A",
        pair="</s> $A </s> $B",
        special_tokens=[("</s>", SPECIAL_TOKENS.index("</s>"))],
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
