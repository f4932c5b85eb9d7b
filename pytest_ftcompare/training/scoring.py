"""What is right: written answers held against their references, and the scores of a split over its rows, groups and labels."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from statistics import fmean

from pytest_ftcompare.tasks import Example, Task
from pytest_ftcompare.training.model_kind import ModelError


def normalize(text: str) -> str:
    """The text in a form in which two that say the same are equal: compatibility forms (a full-width comma is a comma), one
    case, single spaces, no full stop at the end."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(".。 ")


def score_answer(task: Task, text: str, example: Example) -> float:
    """From 0 to 1 for a written answer: by the task's `score` where it has one, else 1 where it matches the reference."""
    if task.score is None:
        same = normalize if task.match == "reference" else str.strip
        return float(same(text) == same(str(example.label)))
    given = task.score(text, example)
    if not 0 <= given <= 1:
        raise ModelError(
            f"task {task.name}: expected its score to give a number from 0 to 1, it gave {given!r} for {text!r}"
        )
    return float(given)


def accuracy_metrics(
    task: Task, right: Sequence[bool], examples: Sequence[Example]
) -> dict[str, float]:
    """Metrics of a split's rows: `accuracy`, and `accuracy/<group>` with their mean, `macro`, where there are several groups,
    and `accuracy/label=<label>` where rows have classes."""
    found = {"accuracy": fmean(right)}
    groups = _accuracy_by_name(right, (one.group for one in examples))
    if len(groups) > 1:
        found |= {f"accuracy/{name}": value for name, value in groups.items()}
        found["macro"] = fmean(groups.values())
    if not task.generative:
        labels = _accuracy_by_name(
            right, (task.labels[one.label] for one in examples if isinstance(one.label, int))
        )
        found |= {f"accuracy/label={name}": value for name, value in labels.items()}
    return found


def _accuracy_by_name(right: Sequence[bool], names: Iterable[str]) -> dict[str, float]:
    """The share of right rows of each name."""
    rows: dict[str, list[bool]] = {}
    for name, one in zip(names, right, strict=True):
        rows.setdefault(name, []).append(one)
    return {name: fmean(rows[name]) for name in sorted(rows)}
