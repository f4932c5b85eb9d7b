"""Judge the sentiment of pocket reviews with negation and "but".

Out of domain: held-out words and "although".
"""

from __future__ import annotations

from pytest_ftcompare.tasks.base import Example, Row, Source, Task


def _convert(row: Row, _: int) -> list[Example]:
    return [Example({"sentence": row["sentence"]}, row["label"])]


TASK = Task(
    name="pocket_sst",
    labels=("negative", "positive"),
    train=Source("pocket/sst", "train", _convert),
    test=Source("pocket/sst", "test", _convert),
    ood=Source("pocket/sst", "ood", _convert),
    text_template="{sentence}",
    pattern="review : {sentence} it was",
    instruction="did they like it ? answer good or bad .",
    verbalizers=(" bad", " good"),
)
