"""Language modelling: the loss on a text, the loss on an answer alone, and writing answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Rows
    from pytest_ftcompare.training.model_io import ModelInterface

IGNORED = -100  # the label of a token that is not to be predicted, as cross_entropy has it


def _losses(
    interface: ModelInterface, model: nn.Module, rows: Rows, predicted: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of the tokens that are to be predicted, averaged over each row's, (rows,); `predicted` and the padded
    rows are (rows, length)."""
    inputs = interface.collate(rows)
    with interface.computing():
        logits = model(**interface.inputs(inputs), use_cache=False).logits[:, :-1].float()
    wanted = inputs["input_ids"][:, 1:].masked_fill(~predicted[:, 1:], IGNORED)
    losses = cross_entropy(logits.transpose(1, 2), wanted, ignore_index=IGNORED, reduction="none")
    return losses.sum(1) / predicted[:, 1:].sum(1)


def text_loss(interface: ModelInterface, model: nn.Module, rows: Rows) -> torch.Tensor:
    """The mean over rows of the mean over a row's tokens, the first apart."""
    mask = interface.collate(rows)["attention_mask"]
    return _losses(interface, model, rows, (mask.cumsum(1) > 1) & (mask == 1)).mean()


def with_answers(
    interface: ModelInterface, rows: Rows, answers: list[str]
) -> tuple[Rows, list[int]]:
    """Each row with its answer and the end of text behind it, at most the task's `answer_tokens`; and how many they are."""
    written = interface.tokenizer(answers, add_special_tokens=False)["input_ids"]
    ends: Rows = [
        [*one, interface.tokenizer.eos_token_id][: interface.task.max_new_tokens] for one in written
    ]
    return [[*row, *end] for row, end in zip(rows, ends, strict=True)], [len(one) for one in ends]


def answer_loss(
    interface: ModelInterface, model: nn.Module, rows: Rows, counts: torch.Tensor
) -> torch.Tensor:
    """The mean over rows of the mean over the last `counts` tokens of each; rows are padded on the left."""
    longest = max(map(len, rows))
    places = torch.arange(longest, device=counts.device)
    return _losses(interface, model, rows, places >= longest - counts[:, None]).mean()


def write(interface: ModelInterface, model: nn.Module, rows: Rows) -> list[str]:
    """What the model writes after each row, greedily, up to the end of text or the task's `answer_tokens`."""
    writing: Any = model
    inputs = interface.collate(rows)
    ends = {
        "eos_token_id": interface.tokenizer.eos_token_id,
        "pad_token_id": interface.tokenizer.pad_token_id,
    }
    with interface.computing():
        found = writing.generate(
            **inputs, max_new_tokens=interface.task.max_new_tokens, do_sample=False, **ends
        )
    texts: list[str] = interface.tokenizer.batch_decode(
        found[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )
    return texts
