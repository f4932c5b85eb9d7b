"""Check a task's rows before training: empty rows, contradictions and classes without rows.

`prepare.py` calls this once for each task. Empty rows and equal texts with different labels are
always reported, and refused above a share. A class without training rows is refused: its labels
may count from 1 where the task reads them from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_ftcompare.tasks import Example, Task
from pytest_ftcompare.tasks.split_overlap import normalized_text

# Shares of a split's rows above which it is refused; chosen. Raising them accepts more such rows.
# Measured: 11 of CoLA's 8,551 training rows contradict an earlier one, and 2 of its 516 rows out of
# domain. No row of CoLA, BLiMP or HANS is empty.
MAX_EMPTY_SHARE = 0.05
MAX_CONTRADICTING_SHARE = 0.05


def check_contents(
    task: Task, splits: Mapping[str, Sequence[Example]]
) -> Iterator[tuple[bool, str]]:
    """Yield, for each problem of the rows, whether it is refused and a sentence.

    The sentence gives the number of such rows and the first two.
    """
    yield from _without_rows(task, splits["train"])
    for name, examples in splits.items():
        where = f"split {name} of task {task.name}"
        empty = [
            index
            for index, row in enumerate(examples)
            if not any(field.strip() for field in row.fields.values())
        ]
        if empty:
            first_rows = " and ".join(str(examples[index].row) for index in empty[:2])
            yield (
                len(empty) > MAX_EMPTY_SHARE * len(examples),
                f"empty rows: expected rows with text in {where}, "
                f"{_count(len(empty), examples)} none, the first in row {first_rows}: remove them",
            )
        pairs = list(_contradictions(examples))
        if pairs:
            first, other = pairs[0]
            quoted = " / ".join(examples[other].fields.values())[:60]
            yield (
                len(pairs) > MAX_CONTRADICTING_SHARE * len(examples),
                f"contradictions: expected one label for one text in {where}, "
                f"{_count(len(pairs), examples)} another label than an earlier row with the same "
                f"text, such as rows {examples[first].row} and "
                f"{examples[other].row}, {quoted!r}: correct one",
            )


def _without_rows(task: Task, examples: Sequence[Example]) -> Iterator[tuple[bool, str]]:
    present = {row.label for row in examples}
    missing = [name for label, name in enumerate(task.labels) if label not in present]
    if missing and not (task.token_labels or task.generative):
        number = f"{len(missing)} of {len(task.labels)}"
        yield (
            True,
            f"class without rows: expected training rows of each class of task {task.name}, "
            f"{number} have none, the first is {missing[0]!r}: check that labels names the classes "
            "of the rows, and whether numbers count from 0 or 1",
        )


def _count(number: int, examples: Sequence[Example]) -> str:
    return f"{number} of {len(examples)} {'has' if number == 1 else 'have'}"


def _contradictions(examples: Sequence[Example]) -> Iterator[tuple[int, int]]:
    """Yield the index of a text's first row with that of each later row with another label."""
    first: dict[str, int] = {}
    for index, row in enumerate(examples):
        # An instruction may have several answers.
        if isinstance(row.label, str):
            return
        text = normalized_text(row)
        if text.strip() and examples[first.setdefault(text, index)].label != row.label:
            yield first[text], index
