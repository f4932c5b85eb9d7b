"""Judge acceptability in the pocket language.

Out of domain: constructions and words that no training row has.
"""

from __future__ import annotations

from pytest_ftcompare.tasks.base import Example, Row, Source, Task


def _convert(row: Row, _: int) -> list[Example]:
    return [Example({"sentence": row["sentence"]}, row["label"], row["construction"])]


TASK = Task(
    name="pocket_cola",
    labels=("unacceptable", "acceptable"),
    train=Source("pocket/cola", "train", _convert),
    test=Source("pocket/cola", "test", _convert),
    ood=Source("pocket/cola", "ood", _convert),
    text_template="{sentence}",
    pattern="{sentence} grammatical ? answer :",
    instruction="is this correct ? answer Yes or No .",
    verbalizers=(" No", " Yes"),
)
