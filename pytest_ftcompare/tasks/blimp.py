"""Judge the acceptability of sentences from BLiMP (Warstadt et al. 2020, arXiv:1912.00582).

Each minimal pair gives its good or its bad sentence, never both, so no test sentence has its twin
in training. Out of domain: island effects, which no training row has.
"""

from __future__ import annotations

from pytest_ftcompare.tasks.base import Convert, Example, Row, Source, Task

OOD_TERM = "island_effects"


def _part(part: str) -> Convert:
    """Return the conversion of a split: islands are ood, every fifth other pair is test."""

    def convert(row: Row, index: int) -> list[Example]:
        row_part = (
            "ood"
            if row["linguistics_term"] == OOD_TERM
            else "test"
            if index // 2 % 5 == 0
            else "train"
        )
        if row_part != part:
            return []
        label = index % 2
        sentence = row["sentence_good"] if label else row["sentence_bad"]
        return [Example({"sentence": sentence}, label, row["linguistics_term"])]

    return convert


TASK = Task(
    name="blimp",
    labels=("unacceptable", "acceptable"),
    train=Source("nyu-mll/blimp", "train", _part("train")),
    test=Source("nyu-mll/blimp", "train", _part("test")),
    ood=Source("nyu-mll/blimp", "train", _part("ood")),
    text_template="{sentence}",
    pattern="grammatical: {sentence} Yes or No?",
    instruction="Decide whether the sentence is grammatical English. Answer Yes or No.",
    verbalizers=(" No", " Yes"),
)
