"""Rows that two splits of a task share: a score on rows that were trained on, or counted in two domains, says nothing.

Rows are the same where their texts are, up to Unicode's compatibility forms, case and white space; labels do not count.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from pytest_ftcompare.tasks import Example

Splits = Mapping[str, Sequence[Example]]

# The share of the smaller split that may be in the other one. Not zero, as corpora repeat themselves by nature: 12 of the 516
# rows of CoLA's out-of-domain set are in its training set. Such rows leave the training pool (`without_tested`).
SHARED = 0.05


def text_of(example: Example) -> str:
    """What a row says, in a form in which two that say the same are equal."""
    return "\n".join(
        " ".join(unicodedata.normalize("NFKC", one).casefold().split())
        for one in example.fields.values()
    )


def _texts(examples: Iterable[Example]) -> set[str]:
    return set(map(text_of, examples))


def _share(first: set[str], second: set[str]) -> float:
    return len(first & second) / max(1, min(len(first), len(second)))


def overlaps(task: str, splits: Splits) -> Iterator[str]:
    """A sentence for each two splits of a task that share more than `SHARED` of the smaller one's rows."""
    texts = {name: _texts(examples) for name, examples in splits.items()}
    for first, second in combinations(texts, 2):
        if _share(texts[first], texts[second]) > SHARED:
            yield _sentence(task, first, splits[first], f"split {second}", texts[second])


def source_overlaps(
    task: str, tested: Splits, source: str, train: Sequence[Example]
) -> Iterator[str]:
    """The same for the training rows of a source task and the rows on which the task itself is tested."""
    trained = _texts(train)
    for name, examples in tested.items():
        if name != "train" and _share(_texts(examples), trained) > SHARED:
            yield _sentence(
                task, name, examples, f"the training rows of its source {source}", trained
            )


def _sentence(
    task: str, name: str, examples: Sequence[Example], other: str, texts: set[str]
) -> str:
    shared = [one for one in examples if text_of(one) in texts]
    first = " / ".join(shared[0].fields.values())
    return (
        f"overlap: expected rows in split {name} of task {task} that {other} does not have, {len(shared)} of {len(examples)} "
        f"are in both, the first of them {first!r}: take them out of one of the two"
    )


def without_tested(splits: Splits) -> list[Example]:
    """The training rows that no other split has, in their order."""
    tested = _texts(one for name, examples in splits.items() if name != "train" for one in examples)
    return [one for one in splits["train"] if text_of(one) not in tested]
