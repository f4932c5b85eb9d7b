"""Judge acceptability: CoLA (Warstadt, Singh and Bowman 2019, arXiv:1805.12471).

GLUE's validation split joins the in-domain and out-of-domain development sets. They stay apart
here, as in the corpus's release, because a score on the joined split is no in-domain score. About
70 % of the rows are acceptable.
"""

from __future__ import annotations

from pytest_ftcompare.tasks.base import Example, Row, Source, Task


def _convert(row: Row, _: int) -> list[Example]:
    return [Example({"sentence": row["sentence"]}, row["label"], row.get("source", ""))]


TASK = Task(
    name="cola",
    labels=("unacceptable", "acceptable"),
    train=Source("nyu-mll/cola", "train", _convert),
    test=Source("nyu-mll/cola", "validation", _convert),
    ood=Source("nyu-mll/cola", "ood", _convert),
    text_template="{sentence}",
    pattern="grammatical: {sentence} Yes or No?",
    instruction="Decide whether the sentence is grammatical English. Answer Yes or No.",
    verbalizers=(" No", " Yes"),
)
