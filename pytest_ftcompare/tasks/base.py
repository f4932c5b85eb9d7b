"""What a task is: a dataset with its splits, how a row is asked, and what its answers are called."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, Literal

Row = Mapping[str, Any]
Label = int | tuple[int, ...] | str


class DataError(ValueError):
    """A data set is not what its task needs; the message says what was expected, what came, and where."""


class RowError(DataError):
    """A row that is not what its task needs: what was `expected`, and what it `has`; `Task.convert` says where."""

    def __init__(self, expected: str, has: str) -> None:
        super().__init__(f"expected {expected}, got {has}")
        self.expected, self.has = expected, has


@dataclass(frozen=True)
class Example:
    """One question: its text fields and its label: an index, one index a word for sequence labelling, or the written answer."""

    fields: Mapping[str, str]
    label: Label
    group: str = ""  # construction, heuristic or source, for scores by group


Convert = Callable[[Row, int], Sequence[Example]]
Match = Literal["exact", "reference"]
Score = Callable[[str, Example], float]
RIGHT_FROM_SCORE = 0.5


@dataclass(frozen=True)
class Source:
    """One split: a data set by hub id, the name of its split, and what becomes of each row (none drops it).

    `read` gives the rows of a split that lies in files of a project; without it hub.py finds them.
    """

    dataset: str
    split: str
    convert: Convert
    read: Callable[[], Iterable[Row]] | None = None


@dataclass(frozen=True)
class Task:
    """A data set with an in-domain test split and, mostly, an out-of-domain one.

    `plain` is the text for a classification head; `pattern` ends where the language model is to continue with one of
    `verbalizers` (one token each, in the order of `labels`; Schick and Schütze 2021, arXiv:2001.07676); `instruction` says
    in words what is asked.

    Where the model writes its answer, of at most `answer_tokens` tokens, `match` says what is right: "exact", the very text
    but for white space around it, or "reference", the same in Unicode's compatibility forms, in whatever case and spacing and
    with or without a full stop at its end. `score` is asked instead where the task has one: given the written answer and its
    example, it returns a number from 0 to 1, such as a judge's; an answer is right from `RIGHT` on.
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
    generative: bool = False  # the model writes its answer
    max_new_tokens: int = 32
    match: Match = "exact"
    score: Score | None = None
    chat: str = (
        ""  # a field that is a conversation, as JSON, which the model's own chat template renders
    )
    notes: str = field(default="", compare=False)

    def splits(self) -> dict[str, Source]:
        found = {"train": self.train, "test": self.test, "ood": self.ood}
        return {name: one for name, one in found.items() if one is not None}

    def convert(self, split: str, rows: Iterable[Row]) -> list[Example]:
        """The examples of a split; a missing column, an unknown label, or what else a row should not have is a `DataError`
        that names the row."""
        source = self.splits()[split]
        examples: list[Example] = []
        where = f"{source.dataset}, split {source.split}"
        for index, row in enumerate(rows):
            try:
                made = source.convert(row, index)
            except RowError as error:
                raise DataError(
                    f"task {self.name}: expected {error.expected} in {where}, row {index} has {error.has}"
                ) from None
            except KeyError as missing:
                raise DataError(
                    f"task {self.name}: expected a column {missing} in {where}, row {index} has {sorted(row)}"
                ) from None
            except (AttributeError, TypeError) as error:
                raise DataError(
                    f"task {self.name}: expected columns of the types it needs in {where}, row {index} has others ({error})"
                ) from None
            for example in made:
                self._check_fields(example, where, index)
                if self.generative:
                    if not isinstance(example.label, str) or not example.label.strip():
                        raise DataError(
                            f"task {self.name}: expected an answer of some text in {where}, row {index} has {example.label!r}"
                        )
                    continue
                given = example.label if isinstance(example.label, tuple) else (example.label,)
                if not all(isinstance(one, int) and 0 <= one < len(self.labels) for one in given):
                    raise DataError(
                        f"task {self.name}: expected a label in 0..{len(self.labels) - 1} ({', '.join(self.labels)}) "
                        f"in {where}, row {index} has {example.label!r}"
                    )
            examples += made
        if not examples:
            raise DataError(f"task {self.name}: {where} has no row that the task can use")
        return examples

    def _check_fields(self, example: Example, where: str, index: int) -> None:
        """Every field is a text, and the templates name no other."""
        for name, value in example.fields.items():
            if not isinstance(value, str):
                raise DataError(
                    f"task {self.name}: expected a text as {name} in {where}, row {index} has {value!r}"
                )
        for template in (self.text_template, self.pattern):
            for _, field_name, _, _ in Formatter().parse(template):
                if field_name is not None and field_name not in example.fields:
                    raise DataError(
                        f"task {self.name}: expected a template of the fields {', '.join(example.fields)}, {template!r} names "
                        f"{field_name!r}"
                    )


def few_shot(task: Task, pool: Sequence[Example], shots: int, seed: int) -> list[Example]:
    """`shots` examples of each class (of all, where rows have no one class), another draw for each seed, shuffled.

    Python's own generator draws them, so a sample does not move with numpy's or torch's version.
    """
    rng = random.Random(f"few-shot {task.name} {seed}")
    if task.token_labels or task.generative:
        classes: list[Sequence[Example]] = [pool]
    else:
        classes = [[one for one in pool if one.label == label] for label in range(len(task.labels))]
    chosen: list[Example] = []
    for label, members in enumerate(classes):
        if len(members) < shots:
            of = f" of class {task.labels[label]!r}" if len(classes) > 1 else ""
            fewest = min(map(len, classes))
            less = (
                f", or ask for at most {fewest} shots"
                if fewest
                else ": see that labels are those of the rows"
            )
            raise DataError(
                f"task {task.name}: expected at least {shots} training rows{of}, found {len(members)}: "
                f"give more (without test, a fifth of train is held out){less}"
            )
        chosen += rng.sample(members, shots)
    rng.shuffle(chosen)
    return chosen
