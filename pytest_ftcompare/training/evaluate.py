"""Evaluate a model on a split: class logits or written answers, compared with the examples.

`run_seed.py` and the timed windows call `evaluate`, the checks `class_logits`. Batches hold rows of
similar length; results are in the rows' own order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pytest_ftcompare.tasks import Example
from pytest_ftcompare.tasks.base import MIN_RIGHT_SCORE
from pytest_ftcompare.training.language_modeling import (
    answer_loss,
    append_answers,
    generate_answers,
)
from pytest_ftcompare.training.model_io import ModelInterface
from pytest_ftcompare.training.scoring import score_answer

# Rows of an evaluation batch, chosen. Raising it is faster and needs more memory.
BATCH = 64


@dataclass(frozen=True)
class Evaluation:
    """Results of one split: a prediction per row, whether it is correct, and the mean loss.

    `class_counts` says how often each class was predicted; for written answers, how often the most
    frequent one and all others. `score` is the mean of the task's own score, if it has one.
    """

    predictions: list[int] | list[str]
    correct: list[bool]
    class_counts: list[int]
    loss: float
    score: float | None = None


def _batches(rows: Sequence[list[int]]) -> Iterator[list[int]]:
    """Row numbers of each batch, shortest rows first."""
    by_length = sorted(range(len(rows)), key=lambda number: len(rows[number]))
    yield from (by_length[start : start + BATCH] for start in range(0, len(rows), BATCH))


@torch.inference_mode()
def class_logits(
    model: nn.Module, interface: ModelInterface, rows: Sequence[list[int]]
) -> torch.Tensor:
    """Compute logits, (rows, classes), in float32 on the CPU, with dropout off."""
    model.eval()
    result: torch.Tensor | None = None
    for batch in _batches(rows):
        logits = (
            interface.logits(model, interface.collate([rows[number] for number in batch]))
            .float()
            .cpu()
        )
        if result is None:
            result = torch.empty(len(rows), logits.shape[1])
        result[batch] = logits
    assert result is not None
    return result


@torch.inference_mode()
def _answers(model: nn.Module, interface: ModelInterface, rows: Sequence[list[int]]) -> list[str]:
    model.eval()
    result = [""] * len(rows)
    for batch in _batches(rows):
        for number, text in zip(
            batch,
            generate_answers(interface, model, [rows[number] for number in batch]),
            strict=True,
        ):
            result[number] = text
    return result


@torch.inference_mode()
def _answers_loss(
    model: nn.Module, interface: ModelInterface, rows: Sequence[list[int]], answers: list[str]
) -> float:
    whole, counts = append_answers(interface, list(rows), answers)
    total = 0.0
    for batch in _batches(whole):
        batch_counts = torch.tensor([counts[number] for number in batch], device=interface.device)
        total += answer_loss(
            interface, model, [whole[number] for number in batch], batch_counts
        ).item() * len(batch)
    return total / len(rows)


def evaluate(
    model: nn.Module,
    interface: ModelInterface,
    rows: Sequence[list[int]],
    examples: Sequence[Example],
) -> Evaluation:
    """Compare the model's output for each row with the example's label or answer."""
    if interface.output_mode == "answer":
        answers = [str(example.label) for example in examples]
        texts = _answers(model, interface, rows)
        most_frequent = Counter(texts).most_common(1)[0][1]
        scores = [
            score_answer(interface.task, text, example)
            for text, example in zip(texts, examples, strict=True)
        ]
        correct = [row_score >= MIN_RIGHT_SCORE for row_score in scores]
        loss = _answers_loss(model, interface, rows, answers)
        score = fmean(scores) if interface.task.score else None
        return Evaluation(texts, correct, [most_frequent, len(texts) - most_frequent], loss, score)
    labels = torch.tensor([example.label for example in examples])
    logits = class_logits(model, interface, rows)
    predictions = logits.argmax(1)
    counts = Counter(predictions.tolist())
    return Evaluation(
        predictions.tolist(),
        (predictions == labels).tolist(),
        [counts[label] for label in range(logits.shape[1])],
        cross_entropy(logits, labels).item(),
    )
