"""Score written answers, for `evaluate.py`; compute a split's accuracies, for `run_seed.py`."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from statistics import fmean

from pytest_ftcompare.tasks import Example, Task
from pytest_ftcompare.training.model_kind import ModelError


def normalize(text: str) -> str:
    """Normalize a text for comparison: NFKC, case-folded, single spaces, no final full stop."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(".。 ")


def score_answer(task: Task, text: str, example: Example) -> float:
    """Score a written answer from 0 to 1, by the task's `score` or by equality with the reference.

    A task's score outside 0 to 1 raises `ModelError`.
    """
    if task.score is None:
        transform = normalize if task.match == "reference" else str.strip
        return float(transform(text) == transform(str(example.label)))
    score = task.score(text, example)
    if not 0 <= score <= 1:
        raise ModelError(
            f"task {task.name}: expected its score to give a number from 0 to 1, "
            f"it gave {score!r} for {text!r}"
        )
    return float(score)


def accuracy_metrics(
    task: Task, correct: Sequence[bool], examples: Sequence[Example]
) -> dict[str, float]:
    """Return a split's accuracy metrics.

    These are `accuracy`; with several groups `accuracy/<group>` and their mean, `macro`; with
    classes `accuracy/label=<label>`.
    """
    metrics = {"accuracy": fmean(correct)}
    groups = _accuracy_by_name(correct, (example.group for example in examples))
    if len(groups) > 1:
        metrics |= {f"accuracy/{name}": value for name, value in groups.items()}
        metrics["macro"] = fmean(groups.values())
    if not task.generative:
        labels = _accuracy_by_name(
            correct,
            (task.labels[example.label] for example in examples if isinstance(example.label, int)),
        )
        metrics |= {f"accuracy/label={name}": value for name, value in labels.items()}
    return metrics


def _accuracy_by_name(correct: Sequence[bool], names: Iterable[str]) -> dict[str, float]:
    """Return the share of correct rows of each name."""
    rows: dict[str, list[bool]] = {}
    for name, row_correct in zip(names, correct, strict=True):
        rows.setdefault(name, []).append(row_correct)
    return {name: fmean(rows[name]) for name in sorted(rows)}
