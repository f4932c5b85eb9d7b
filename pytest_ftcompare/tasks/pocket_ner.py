"""Label named entities in the pocket language, one BIO tag per word.

Out of domain: held-out sentence templates, mostly with held-out names.
"""

from __future__ import annotations

from pytest_ftcompare.pocket.entities import TAGS
from pytest_ftcompare.tasks.base import Example, Row, Source, Task


def _convert(row: Row, _: int) -> list[Example]:
    return [Example({"tokens": " ".join(row["tokens"])}, tuple(row["tags"]))]


TASK = Task(
    name="pocket_ner",
    labels=TAGS,
    train=Source("pocket/ner", "train", _convert),
    test=Source("pocket/ner", "test", _convert),
    ood=Source("pocket/ner", "ood", _convert),
    text_template="{tokens}",
    token_labels=True,
)
