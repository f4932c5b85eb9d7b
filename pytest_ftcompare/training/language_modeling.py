"""Language modelling: the loss on a text, the loss on an answer alone, and writing answers.

`prepared_seed.py` uses the losses for stages, `evaluate.py` writes and scores answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Rows
    from pytest_ftcompare.training.model_io import ModelInterface

IGNORED_LABEL = -100  # cross_entropy's default `ignore_index`


def _losses(
    interface: ModelInterface, model: nn.Module, rows: Rows, predicted: torch.Tensor
) -> torch.Tensor:
    """Average the cross-entropy of each row's predicted tokens; return (rows,).

    `predicted` is a mask over the padded rows, (rows, length).
    """
    inputs = interface.collate(rows)
    with interface.autocast():
        logits = model(**interface.model_inputs(inputs), use_cache=False).logits[:, :-1].float()
    labels = inputs["input_ids"][:, 1:].masked_fill(~predicted[:, 1:], IGNORED_LABEL)
    losses = cross_entropy(
        logits.transpose(1, 2), labels, ignore_index=IGNORED_LABEL, reduction="none"
    )
    return losses.sum(1) / predicted[:, 1:].sum(1)


def text_loss(interface: ModelInterface, model: nn.Module, rows: Rows) -> torch.Tensor:
    """Average over rows the mean loss of all tokens after the first."""
    mask = interface.collate(rows)["attention_mask"]
    return _losses(interface, model, rows, (mask.cumsum(1) > 1) & (mask == 1)).mean()


def append_answers(
    interface: ModelInterface, rows: Rows, answers: list[str]
) -> tuple[Rows, list[int]]:
    """Append each answer and the end-of-text token, at most the task's `max_new_tokens`.

    Return the longer rows, and the number of tokens appended to each.
    """
    answer_ids = interface.tokenizer(answers, add_special_tokens=False)["input_ids"]
    ends: Rows = [
        [*ids, interface.tokenizer.eos_token_id][: interface.task.max_new_tokens]
        for ids in answer_ids
    ]
    return [[*row, *end] for row, end in zip(rows, ends, strict=True)], [len(end) for end in ends]


def answer_loss(
    interface: ModelInterface, model: nn.Module, rows: Rows, counts: torch.Tensor
) -> torch.Tensor:
    """Average over rows the mean loss of each row's last `counts` tokens; padding is left."""
    longest = max(map(len, rows))
    places = torch.arange(longest, device=counts.device)
    return _losses(interface, model, rows, places >= longest - counts[:, None]).mean()


def generate_answers(interface: ModelInterface, model: nn.Module, rows: Rows) -> list[str]:
    """Decode greedily after each row, up to end of text or the task's `max_new_tokens`."""
    generator: Any = model
    inputs = interface.collate(rows)
    ends = {
        "eos_token_id": interface.tokenizer.eos_token_id,
        "pad_token_id": interface.tokenizer.pad_token_id,
    }
    with interface.autocast():
        generated = generator.generate(
            **inputs, max_new_tokens=interface.task.max_new_tokens, do_sample=False, **ends
        )
    texts: list[str] = interface.tokenizer.batch_decode(
        generated[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )
    return texts
