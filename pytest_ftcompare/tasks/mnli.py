"""Judge entailment: MNLI (Williams et al. 2018, arXiv:1704.05426) without its neutral rows.

Out of domain: HANS (McCoy et al. 2019, arXiv:1902.01007); its second class is "not entailed". The
pattern is GPT-3's, as in Mosbach et al. 2023 (arXiv:2305.16938).
"""

from __future__ import annotations

from pytest_ftcompare.tasks.base import Example, Row, Source, Task

NEUTRAL, CONTRADICTION = 1, 2


def _mnli(row: Row, _: int) -> list[Example]:
    if row["label"] == NEUTRAL:
        return []
    label = 1 if row["label"] == CONTRADICTION else row["label"]
    return [Example({"premise": row["premise"], "hypothesis": row["hypothesis"]}, label)]


def _hans(row: Row, _: int) -> list[Example]:
    return [
        Example(
            {"premise": row["premise"], "hypothesis": row["hypothesis"]},
            row["label"],
            row["heuristic"],
        )
    ]


TASK = Task(
    name="mnli",
    labels=("entailment", "contradiction"),
    train=Source("nyu-mll/mnli", "train", _mnli),
    test=Source("nyu-mll/mnli", "validation", _mnli),
    ood=Source("jhu-cogsci/hans", "validation", _hans),
    text_template="{premise} question: {hypothesis}",
    pattern="{premise} question: {hypothesis} Yes or No? answer:",
    instruction="Decide whether the first sentence entails the second. Answer Yes or No.",
    verbalizers=(" Yes", " No"),
)
