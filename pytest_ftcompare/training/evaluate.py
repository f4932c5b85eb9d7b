"""Evaluation: class logits of every row, or written answers, in batches of like length, in the rows' own order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pytest_ftcompare.tasks import Example
from pytest_ftcompare.tasks.base import RIGHT_FROM_SCORE
from pytest_ftcompare.training.language_modeling import answer_loss, with_answers, write
from pytest_ftcompare.training.model_io import ModelInterface
from pytest_ftcompare.training.scoring import rate

BATCH = 64


@dataclass(frozen=True)
class Evaluation:
    """Of each row what was chosen and whether it is right; how often each class (or the commonest answer, and the others)
    was chosen; the mean loss; the mean of the task's own `score`, where it has one."""

    chosen: list[int] | list[str]
    right: list[bool]
    counts: list[int]
    loss: float
    score: float | None = None


def _batches(rows: Sequence[list[int]]) -> Iterator[list[int]]:
    by_length = sorted(range(len(rows)), key=lambda at: len(rows[at]))
    yield from (by_length[start : start + BATCH] for start in range(0, len(rows), BATCH))


@torch.inference_mode()
def class_logits(
    model: nn.Module, interface: ModelInterface, rows: Sequence[list[int]]
) -> torch.Tensor:
    """(rows, classes) in float32 on the CPU; dropout off."""
    model.eval()
    result: torch.Tensor | None = None
    for chosen in _batches(rows):
        logits = (
            interface.logits(model, interface.collate([rows[at] for at in chosen])).float().cpu()
        )
        if result is None:
            result = torch.empty(len(rows), logits.shape[1])
        result[chosen] = logits
    assert result is not None
    return result


@torch.inference_mode()
def _answers(model: nn.Module, interface: ModelInterface, rows: Sequence[list[int]]) -> list[str]:
    model.eval()
    result = [""] * len(rows)
    for chosen in _batches(rows):
        for at, text in zip(
            chosen, write(interface, model, [rows[at] for at in chosen]), strict=True
        ):
            result[at] = text
    return result


@torch.inference_mode()
def _answers_loss(
    model: nn.Module, interface: ModelInterface, rows: Sequence[list[int]], wanted: list[str]
) -> float:
    whole, counts = with_answers(interface, list(rows), wanted)
    total = 0.0
    for chosen in _batches(whole):
        picked = torch.tensor([counts[at] for at in chosen], device=interface.device)
        total += answer_loss(interface, model, [whole[at] for at in chosen], picked).item() * len(
            chosen
        )
    return total / len(rows)


def evaluate(
    model: nn.Module,
    interface: ModelInterface,
    rows: Sequence[list[int]],
    examples: Sequence[Example],
) -> Evaluation:
    """Hold what the model says of each row against its example."""
    if interface.output_mode == "answer":
        wanted = [str(one.label) for one in examples]
        texts = _answers(model, interface, rows)
        commonest = Counter(texts).most_common(1)[0][1]
        rated = [rate(interface.task, text, one) for text, one in zip(texts, examples, strict=True)]
        right = [one >= RIGHT_FROM_SCORE for one in rated]
        loss = _answers_loss(model, interface, rows, wanted)
        score = fmean(rated) if interface.task.score else None
        return Evaluation(texts, right, [commonest, len(texts) - commonest], loss, score)
    labels = torch.tensor([one.label for one in examples])
    logits = class_logits(model, interface, rows)
    chosen = logits.argmax(1)
    counts = Counter(chosen.tolist())
    return Evaluation(
        chosen.tolist(),
        (chosen == labels).tolist(),
        [counts[label] for label in range(logits.shape[1])],
        cross_entropy(logits, labels).item(),
    )
