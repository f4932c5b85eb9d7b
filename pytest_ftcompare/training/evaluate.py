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
from pytest_ftcompare.tasks.base import RIGHT
from pytest_ftcompare.training.language_modeling import answer_loss, with_answers, write
from pytest_ftcompare.training.model_io import Questioner
from pytest_ftcompare.training.scoring import rate

BATCH = 64


@dataclass(frozen=True)
class Evaluated:
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
def class_logits(model: nn.Module, ask: Questioner, rows: Sequence[list[int]]) -> torch.Tensor:
    """(rows, classes) in float32 on the CPU; dropout off."""
    model.eval()
    result: torch.Tensor | None = None
    for chosen in _batches(rows):
        logits = ask.logits(model, ask.collate([rows[at] for at in chosen])).float().cpu()
        if result is None:
            result = torch.empty(len(rows), logits.shape[1])
        result[chosen] = logits
    assert result is not None
    return result


@torch.inference_mode()
def _answers(model: nn.Module, ask: Questioner, rows: Sequence[list[int]]) -> list[str]:
    model.eval()
    result = [""] * len(rows)
    for chosen in _batches(rows):
        for at, text in zip(chosen, write(ask, model, [rows[at] for at in chosen]), strict=True):
            result[at] = text
    return result


@torch.inference_mode()
def _answers_loss(model: nn.Module, ask: Questioner, rows: Sequence[list[int]], wanted: list[str]) -> float:
    whole, counts = with_answers(ask, list(rows), wanted)
    total = 0.0
    for chosen in _batches(whole):
        picked = torch.tensor([counts[at] for at in chosen], device=ask.device)
        total += answer_loss(ask, model, [whole[at] for at in chosen], picked).item() * len(chosen)
    return total / len(rows)


def evaluate(model: nn.Module, ask: Questioner, rows: Sequence[list[int]], examples: Sequence[Example]) -> Evaluated:
    """Hold what the model says of each row against its example."""
    if ask.ask == "answer":
        wanted = [str(one.label) for one in examples]
        texts = _answers(model, ask, rows)
        commonest = Counter(texts).most_common(1)[0][1]
        rated = [rate(ask.task, text, one) for text, one in zip(texts, examples, strict=True)]
        right = [one >= RIGHT for one in rated]
        loss = _answers_loss(model, ask, rows, wanted)
        score = fmean(rated) if ask.task.score else None
        return Evaluated(texts, right, [commonest, len(texts) - commonest], loss, score)
    labels = torch.tensor([one.label for one in examples])
    logits = class_logits(model, ask, rows)
    chosen = logits.argmax(1)
    counts = Counter(chosen.tolist())
    return Evaluated(
        chosen.tolist(),
        (chosen == labels).tolist(),
        [counts[label] for label in range(logits.shape[1])],
        cross_entropy(logits, labels).item(),
    )
