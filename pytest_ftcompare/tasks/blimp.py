"""BLiMP's minimal pairs (Warstadt et al. 2020, arXiv:1912.00582) as acceptability verdicts.

Each pair gives its good or its bad sentence, never both, so that no test sentence has its twin in training. Out of domain:
the paradigms on islands, which no training row has.
"""

from __future__ import annotations

from pytest_ftcompare.tasks.base import Convert, Example, Row, Source, Task

SHIFT = "island_effects"


def _part(part: str) -> Convert:
    """Rows of one part: islands are out of domain, every fifth of the other pairs is the test set."""

    def convert(row: Row, index: int) -> list[Example]:
        of = (
            "ood"
            if row["linguistics_term"] == SHIFT
            else "test"
            if index // 2 % 5 == 0
            else "train"
        )
        if of != part:
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
