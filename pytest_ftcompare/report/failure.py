"""A failed case's section: what moved, by how much against which noise, where it began, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ftcompare.compare.verdict import Judgement
from pytest_ftcompare.report import cost
from pytest_ftcompare.report.outcome import NAMES, sentence
from pytest_ftcompare.report.wrapping import wrapped

MEANING = {
    "worse": "its outcome got worse",
    "changed": "it computes something else than its baseline did; its outcome is not worse",
    "new": "it has no baseline yet",
    "invalid": "it cannot be judged",
}


def explain(judgement: Judgement, nodeid: str, options: str = "") -> Iterator[str]:
    """The lines of a case that failed, ending in the remedy; `options` are the run's own, to be given again."""
    for line in _findings(judgement):
        yield from wrapped(line)
    yield "  Run it again:"
    yield f"    pytest{options} '{nodeid}'"
    if judgement.verdict == "invalid":
        return
    if judgement.verdict == "new":
        yield "  Make its baseline:"
    else:
        yield "  If it is meant, accept it and review the diff in git:"
    yield f"    pytest{options} --update-baselines '{nodeid}'"


def _findings(judgement: Judgement) -> Iterator[str]:
    dearer = judgement.verdict == "worse" and not any(one.outcome == "worse" for one in judgement.comparisons)
    meaning = "its cost got worse" if dearer else MEANING.get(judgement.verdict, "")
    yield f"{judgement.id}: {judgement.verdict}, {meaning}."
    for one in judgement.comparisons:
        yield f"  {sentence(one, identical=judgement.identical)}"
    if not judgement.comparisons and judgement.scores:
        yield "  " + ", ".join(f"{NAMES[name]} {score:.1%}" for name, score in judgement.scores.items() if name in NAMES)
    for reading in cost.moved(judgement):
        yield f"  {cost.change(reading)}"
    if judgement.began and judgement.verdict != "invalid":
        yield f"  Where it left its baseline: {judgement.began}."
    if judgement.signs:
        yield f"  First sign: {judgement.signs[0]}."
        for sign in judgement.signs[1:6]:
            yield f"  Then: {sign}."
        if len(judgement.signs) > 6:
            yield f"  And {len(judgement.signs) - 6} more."
    for note in judgement.notes:
        yield f"  Note: {note}."
    if judgement.changes:
        yield f"  Changed since the baseline: {'; '.join(map(str, judgement.changes))}."
    elif judgement.comparisons:
        yield "  Nothing changed in the environment since the baseline."
