"""Define what a task is: a data set with its splits, and how a row becomes a text and an answer.

The task files, `custom.py` and `training/` use these classes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import Formatter
from typing import Any, Literal

Row = Mapping[str, Any]
Label = int | tuple[int, ...] | str


class DataError(ValueError):
    """A data set that is not what its task needs: what was expected, what was found, and where."""


class RowError(DataError):
    """A row that is not what its task needs. `Task.convert` adds the row's place."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"expected {expected}, got {actual}")
        self.expected, self.actual = expected, actual


@dataclass(frozen=True)
class Example:
    """A row as the model sees it: text fields and a label.

    The label is a class index, one tag index per word for token labels, or the answer to write.
    """

    fields: Mapping[str, str]
    label: Label
    group: str = ""  # construction, heuristic or source, for scores by group
    # Its index in the file or the data set's split, where rows may be left out; for messages.
    row: int = field(default=0, compare=False)


Convert = Callable[[Row, int], Sequence[Example]]
Match = Literal["exact", "reference"]
Score = Callable[[str, Example], float]
# Score from 0 to 1; chosen. Raising it makes fewer scored answers count as right.
MIN_RIGHT_SCORE = 0.5


@dataclass(frozen=True)
class Source:
    """A split: a data set's hub id, its split's name, and a function from a row to examples.

    `convert` drops a row by returning no example. `read` returns the rows of a project's own
    files; without it, `hub.py` finds them.
    """

    dataset: str
    split: str
    convert: Convert
    read: Callable[[], Iterable[Row]] | None = None


@dataclass(frozen=True)
class Task:
    """A data set with an in-domain test split and optionally an out-of-domain one.

    `text_template` is the text for a classification head. `pattern` ends where the language model
    continues with a verbalizer: one token per label, in the order of `labels` (Schick and Schütze
    2021, arXiv:2001.07676). `instruction` is the question in words.

    In a generative task the model writes at most `max_new_tokens` tokens. `match` defines a right
    answer: "exact" is the reference text, white space around it aside. "reference" also ignores
    Unicode compatibility forms, case, spacing and a final full stop. A task with `score` uses it
    instead: it rates an answer from 0 to 1, and an answer is right from `MIN_RIGHT_SCORE`.
    """

    name: str
    labels: tuple[str, ...]
    train: Source
    test: Source
    ood: Source | None = None
    text_template: str = ""
    pattern: str = ""
    instruction: str = ""
    verbalizers: tuple[str, ...] = ()
    token_labels: bool = False
    generative: bool = False
    max_new_tokens: int = 32
    match: Match = "exact"
    score: Score | None = None
    # A field that is a conversation as JSON; the model's own chat template renders it.
    chat: str = ""
    notes: str = field(default="", compare=False)

    def splits(self) -> dict[str, Source]:
        """Return the task's splits by name: train, test and, if it has one, ood."""
        sources = {"train": self.train, "test": self.test, "ood": self.ood}
        return {name: source for name, source in sources.items() if source is not None}

    def convert(self, split: str, rows: Iterable[Row]) -> list[Example]:
        """Return the examples of a split's rows.

        Raise `DataError` with the row's index for a missing column, a wrong type or an unknown
        label, and for a split without any usable row.
        """
        source = self.splits()[split]
        examples: list[Example] = []
        where = f"{source.dataset}, split {source.split}"
        for index, row in enumerate(rows):
            try:
                converted = source.convert(row, index)
            except RowError as error:
                raise DataError(
                    f"task {self.name}: expected {error.expected} in {where}, "
                    f"row {index} has {error.actual}"
                ) from None
            except KeyError as missing:
                raise DataError(
                    f"task {self.name}: expected a column {missing} in {where}, "
                    f"row {index} has {sorted(row)}"
                ) from None
            except (AttributeError, TypeError) as error:
                raise DataError(
                    f"task {self.name}: expected columns of the types it needs in {where}, "
                    f"row {index} has others ({error})"
                ) from None
            for example in converted:
                self._check_fields(example, where, index)
                if self.generative:
                    if not isinstance(example.label, str) or not example.label.strip():
                        raise DataError(
                            f"task {self.name}: expected an answer of some text in {where}, "
                            f"row {index} has {example.label!r}"
                        )
                    continue
                labels = example.label if isinstance(example.label, tuple) else (example.label,)
                if not all(
                    isinstance(label, int) and 0 <= label < len(self.labels) for label in labels
                ):
                    raise DataError(
                        f"task {self.name}: expected a label in 0..{len(self.labels) - 1} "
                        f"({', '.join(self.labels)}) in {where}, row {index} has {example.label!r}"
                    )
            examples += (replace(example, row=index) for example in converted)
        if not examples:
            raise DataError(f"task {self.name}: {where} has no row that the task can use")
        return examples

    def _check_fields(self, example: Example, where: str, index: int) -> None:
        """Refuse a field that is not text, and a template that names a missing field."""
        for name, value in example.fields.items():
            if not isinstance(value, str):
                raise DataError(
                    f"task {self.name}: expected a text as {name} in {where}, "
                    f"row {index} has {value!r}"
                )
        for template in (self.text_template, self.pattern):
            for _, field_name, _, _ in Formatter().parse(template):
                if field_name is not None and field_name not in example.fields:
                    raise DataError(
                        f"task {self.name}: expected a template of the fields "
                        f"{', '.join(example.fields)}, {template!r} names {field_name!r}"
                    )


def few_shot(task: Task, pool: Sequence[Example], shots: int, seed: int) -> list[Example]:
    """Draw `shots` examples of each class, shuffled; another draw for each seed.

    A generative or token-labelling task has no single class per row: it gets `shots` examples in
    all. Python's own generator draws, so numpy's and torch's versions do not change the rows.
    Raise `DataError` if a class has fewer than `shots` rows.
    """
    rng = random.Random(f"few-shot {task.name} {seed}")
    if task.token_labels or task.generative:
        classes: list[Sequence[Example]] = [pool]
    else:
        classes = [
            [example for example in pool if example.label == label]
            for label in range(len(task.labels))
        ]
    chosen: list[Example] = []
    for label, members in enumerate(classes):
        if len(members) < shots:
            of_class = f" of class {task.labels[label]!r}" if len(classes) > 1 else ""
            fewest = min(map(len, classes))
            hint = (
                f", or ask for fewer than {fewest} shots"
                if fewest > 1
                else ": check that labels names the classes of the rows"
            )
            raise DataError(
                f"task {task.name}: expected at least {shots} training rows{of_class}, "
                f"found {len(members)}: "
                f"give more (without test, a fifth of train is held out){hint}"
            )
        chosen += rng.sample(members, shots)
    rng.shuffle(chosen)
    return chosen
