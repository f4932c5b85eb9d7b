"""Answer instructions in the pocket language and in Chinese.

Out of domain: kinds that no training row has.
"""

from __future__ import annotations

from pytest_ftcompare.pocket.instructions import answer, prompt
from pytest_ftcompare.tasks.base import Example, Row, Source, Task

HELD_OUT = ("en-kind", "en-opposite", "en-plural")


def example(row: Row, _: int) -> list[Example]:
    """Convert a row to a request with its answer, grouped by its kind."""
    text = prompt(row["kind"], row["instruction"], row["input"])
    return [Example({"prompt": text}, answer(row["kind"], row["output"]), row["kind"])]


def _in_domain(row: Row, index: int) -> list[Example]:
    return [] if row["kind"] in HELD_OUT else example(row, index)


def _held_out(row: Row, index: int) -> list[Example]:
    return example(row, index) if row["kind"] in HELD_OUT else []


TASK = Task(
    name="pocket_instructions",
    labels=(),
    train=Source("pocket/instructions", "train", _in_domain),
    test=Source("pocket/instructions", "test", _in_domain),
    ood=Source("pocket/instructions", "train", _held_out),
    text_template="{prompt}",
    pattern="{prompt}",
    generative=True,
)
