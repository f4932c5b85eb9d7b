"""Pre-train the two base models: OPT's architecture from scratch on `corpus`, packed.

`scripts/make_pocket.py` calls `pretrain`. Only one token in fifteen of an episode is an answer, so
its loss is weighted: prompting then works after minutes of CPU time. One thread, bfloat16
autocast; weights are saved as float32 safetensors.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftcompare.pocket.corpus import documents
from pytest_ftcompare.pocket.tokenizer import save_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

ROW_LENGTH = 192  # tokens of a packed row, and the models' maximum
BATCH_SIZE = 16  # packed rows
ANSWER_WEIGHT = 4.0  # factor of an answer's loss; chosen
CHUNK = 2_000  # documents per call of the tokenizer


@dataclass(frozen=True)
class Shape:
    """Architecture and schedule of one base model."""

    width: int
    layers: int
    heads: int
    steps: int
    learning_rate: float


SHAPES = {
    "opt-0.4m": Shape(width=80, layers=4, heads=4, steps=9_000, learning_rate=3e-3),
    "opt-1.4m": Shape(width=160, layers=4, heads=5, steps=6_500, learning_rate=2e-3),
}


def rows(tokenizer: PreTrainedTokenizerBase, seed: int) -> Iterator[tuple[list[int], list[float]]]:
    """Yield packed rows of ROW_LENGTH + 1 token ids and loss weights; `</s>` begins a document."""
    stream = documents(seed)
    ids: list[int] = []
    weights: list[float] = []
    while True:
        chunk = list(islice(stream, CHUNK))
        segments = [segment for document in chunk for segment in document]
        encoded = iter(
            tokenizer([text for text, _ in segments], add_special_tokens=False)["input_ids"]
        )
        for document in chunk:
            ids.append(tokenizer.eos_token_id)
            weights.append(1.0)
            for _, is_answer in document:
                tokens = next(encoded)
                ids += tokens
                weights += [ANSWER_WEIGHT if is_answer else 1.0] + [1.0] * (len(tokens) - 1)
        while len(ids) > ROW_LENGTH:
            yield ids[: ROW_LENGTH + 1], weights[: ROW_LENGTH + 1]
            del ids[:ROW_LENGTH], weights[:ROW_LENGTH]


def _batch(source: Iterator[tuple[list[int], list[float]]]) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    chosen = list(islice(source, BATCH_SIZE))
    return torch.tensor([ids for ids, _ in chosen]), torch.tensor(
        [weights for _, weights in chosen]
    )


def pretrain(
    name: str, tokenizer_path: Path, target: Path, seed: int = 0, steps: int | None = None
) -> None:
    """Train the model `name` of `SHAPES`; save it with its tokenizer in `target`, in HF format."""
    import torch
    from torch.nn.functional import cross_entropy
    from transformers import (
        AutoTokenizer,
        OPTConfig,
        OPTForCausalLM,
        get_cosine_schedule_with_warmup,
    )

    shape = SHAPES[name]
    steps = steps or shape.steps
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_path)
    config = OPTConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        word_embed_proj_dim=shape.width,
        ffn_dim=4 * shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=ROW_LENGTH,
        dropout=0.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = OPTForCausalLM(config)
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=shape.learning_rate, betas=(0.9, 0.95), weight_decay=0.05, fused=True
    )
    schedule = get_cosine_schedule_with_warmup(optimizer, 200, steps)
    source = rows(tokenizer, seed)
    start, running = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        ids, weights = _batch(source)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        losses = cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        weight = weights[:, 1:].flatten()
        loss = (losses * weight).sum() / weight.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        running = 0.98 * running + 0.02 * loss.item() if step > 1 else loss.item()
        if step % 100 == 0:
            left = (time.monotonic() - start) / step * (steps - step)
            print(
                f"{name}  step {step}/{steps}  loss {running:.3f}  {left / 60:.0f} min left",
                flush=True,
            )
        if step % 1000 == 0 or step == steps:
            # Fine-tuning uses OPT's own dropout.
            model.config.dropout = 0.1
            model.save_pretrained(target)
            save_tokenizer(tokenizer, target)
            model.config.dropout = 0.0
