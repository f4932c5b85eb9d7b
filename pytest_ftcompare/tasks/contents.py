"""Rows that say nothing or contradict each other, and classes without rows, read before anything is
trained.

Called by prepare.py once for each task. A model can learn nothing from an empty text, and from two
equal texts with other labels only that one of them is wrong: told always, refused where they are
many. A class that no training row has is refused: the labels may count from 1 where they are read
from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_ftcompare.tasks import Example, Task
from pytest_ftcompare.tasks.split_overlap import text_of

# The share of a split's rows above which it is refused. Corpora contradict themselves by nature: 11
# of
# CoLA's 8,551 training rows do, and 2 of the 516 out of domain. None of CoLA, BLiMP and HANS is
# empty.
EMPTY = 0.05
CONTRADICTING = 0.05


def contents(task: Task, splits: Mapping[str, Sequence[Example]]) -> Iterator[tuple[bool, str]]:
    """For each fault of the rows whether it is refused, and a sentence with how many there are and
    the first."""
    yield from _without_rows(task, splits["train"])
    for name, examples in splits.items():
        where = f"split {name} of task {task.name}"
        empty = [
            at
            for at, row in enumerate(examples)
            if not any(field.strip() for field in row.fields.values())
        ]
        if empty:
            rows = " and ".join(map(str, empty[:2]))
            yield (
                len(empty) > EMPTY * len(examples),
                f"empty rows: expected rows with text in {where}, {_count(len(empty), examples)} none, the first of them "
                f"{rows}: take them out",
            )
        pairs = list(_contradictions(examples))
        if pairs:
            first, other = pairs[0]
            quoted = " / ".join(examples[other].fields.values())[:60]
            yield (
                len(pairs) > CONTRADICTING * len(examples),
                f"contradictions: expected one label for one text in {where}, {_count(len(pairs), examples)} another label "
                f"than a row before with the same text, as rows {first} and {other}, {quoted!r}: correct one",
            )


def _without_rows(task: Task, examples: Sequence[Example]) -> Iterator[tuple[bool, str]]:
    taught = {row.label for row in examples}
    missing = [name for label, name in enumerate(task.labels) if label not in taught]
    if missing and not (task.token_labels or task.generative):
        number = f"{len(missing)} of {len(task.labels)}"
        yield (
            True,
            f"class without rows: expected training rows of each class of task {task.name}, {number} have none, the "
            f"first is {missing[0]!r}: see that labels are those of the rows, and with numbers whether they count from 0 or 1",
        )


def _count(number: int, examples: Sequence[Example]) -> str:
    return f"{number} of {len(examples)} {'has' if number == 1 else 'have'}"


def _contradictions(examples: Sequence[Example]) -> Iterator[tuple[int, int]]:
    """The first row of a text and each later one that has the text and another label, by their
    numbers."""
    first: dict[str, int] = {}
    for at, row in enumerate(examples):
        if isinstance(row.label, str):  # an instruction may have several answers
            return
        text = text_of(row)
        if text.strip() and examples[first.setdefault(text, at)].label != row.label:
            yield first[text], at
