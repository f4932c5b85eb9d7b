"""Judge entailment in the pocket language, with two classes.

Out of domain: pairs as in HANS, where word overlap misleads.
"""

from __future__ import annotations

from pytest_ftcompare.tasks.base import Example, Row, Source, Task


def _convert(row: Row, _: int) -> list[Example]:
    return [
        Example(
            {"premise": row["premise"], "hypothesis": row["hypothesis"]},
            row["label"],
            row["construction"],
        )
    ]


TASK = Task(
    name="pocket_mnli",
    labels=("entailment", "contradiction"),
    train=Source("pocket/mnli", "train", _convert),
    test=Source("pocket/mnli", "test", _convert),
    ood=Source("pocket/mnli", "ood", _convert),
    text_template="{premise} question : {hypothesis}",
    pattern="{premise} question : {hypothesis} Yes or No ? answer :",
    instruction="is the second sentence true ? answer Yes or No .",
    verbalizers=(" Yes", " No"),
)
