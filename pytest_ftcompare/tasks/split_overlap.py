"""Find rows that two splits of a task share, and drop tested rows from the training rows.

A score on rows that were trained on is no test score, and rows in both test splits blur the two
domains. Rows are equal if their texts are, up to Unicode compatibility forms, case and white
space; labels do not count. `prepare.py` and the gate call this.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from pytest_ftcompare.tasks import Example

Splits = Mapping[str, Sequence[Example]]

# Largest share of the smaller split that may be in the other one; chosen. Raising it accepts more
# overlap. Not zero, because corpora repeat rows: 12 of CoLA's 516 out-of-domain rows are in its
# training set. `drop_tested_rows` removes them from the training rows.
MAX_SHARED_SHARE = 0.05


def normalized_text(example: Example) -> str:
    """Return a row's text in a form in which equal rows are equal."""
    return "\n".join(
        " ".join(unicodedata.normalize("NFKC", text).casefold().split())
        for text in example.fields.values()
    )


def _texts(examples: Iterable[Example]) -> set[str]:
    return set(map(normalized_text, examples))


def _share(first: set[str], second: set[str]) -> float:
    return len(first & second) / max(1, min(len(first), len(second)))


def overlaps(task: str, splits: Splits) -> Iterator[str]:
    """Yield a sentence for each pair of splits that shares more than `MAX_SHARED_SHARE`.

    The share counts the smaller split's rows.
    """
    texts = {name: _texts(examples) for name, examples in splits.items()}
    for first, second in combinations(texts, 2):
        if _share(texts[first], texts[second]) > MAX_SHARED_SHARE:
            yield _sentence(task, first, splits[first], f"split {second}", texts[second])


def source_overlaps(
    task: str, tested: Splits, source: str, train: Sequence[Example]
) -> Iterator[str]:
    """Yield a sentence for each test split that shares too much with a source's training rows."""
    trained = _texts(train)
    for name, examples in tested.items():
        if name != "train" and _share(_texts(examples), trained) > MAX_SHARED_SHARE:
            yield _sentence(
                task, name, examples, f"the training rows of its source {source}", trained
            )


def _sentence(
    task: str, name: str, examples: Sequence[Example], other: str, texts: set[str]
) -> str:
    shared = [example for example in examples if normalized_text(example) in texts]
    first = " / ".join(shared[0].fields.values())
    return (
        f"overlap: expected rows in split {name} of task {task} that {other} does not have, "
        f"{len(shared)} of {len(examples)} are in both, the first is {first!r}: remove them from "
        "one of the two"
    )


def drop_tested_rows(splits: Splits) -> list[Example]:
    """Return the training rows that no other split has, in their order."""
    tested = _texts(
        example for name, examples in splits.items() if name != "train" for example in examples
    )
    return [example for example in splits["train"] if normalized_text(example) not in tested]
