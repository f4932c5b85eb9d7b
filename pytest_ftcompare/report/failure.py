"""A failed case's section: what moved, by how much against which noise, where it began, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.report import cost
from pytest_ftcompare.report.outcome import NAMES, sentence
from pytest_ftcompare.report.wrapping import wrapped

MEANING = {
    "worse": "its outcome got worse",
    "changed": "it computes something else than its baseline did; its outcome is not worse",
    "new": "it has no baseline yet",
    "invalid": "it cannot be judged",
}


def explain(verdict: CaseVerdict, nodeid: str, options: str = "") -> Iterator[str]:
    """The lines of a case that failed, ending in the remedy; `options` are the run's own, to be given again."""
    for line in _findings(verdict):
        yield from wrapped(line)
    yield "  Run it again:"
    yield f"    pytest{options} '{nodeid}'"
    if verdict.verdict == "invalid":
        return
    if verdict.verdict == "new":
        yield "  Make its baseline:"
    else:
        yield "  If it is meant, accept it and review the diff in git:"
    yield f"    pytest{options} --update-baselines '{nodeid}'"


def _findings(verdict: CaseVerdict) -> Iterator[str]:
    dearer = verdict.verdict == "worse" and not any(
        one.outcome == "worse" for one in verdict.comparisons
    )
    meaning = "its cost got worse" if dearer else MEANING.get(verdict.verdict, "")
    yield f"{verdict.id}: {verdict.verdict}, {meaning}."
    for one in verdict.comparisons:
        yield f"  {sentence(one, identical=verdict.identical)}"
    if not verdict.comparisons and verdict.scores:
        yield "  " + ", ".join(
            f"{NAMES[name]} {score:.1%}" for name, score in verdict.scores.items() if name in NAMES
        )
    for reading in cost.moved(verdict):
        yield f"  {cost.change(reading)}"
    if verdict.first_divergence and verdict.verdict != "invalid":
        yield f"  Where it left its baseline: {verdict.first_divergence}."
    if verdict.divergences:
        yield f"  First sign: {verdict.divergences[0]}."
        for sign in verdict.divergences[1:6]:
            yield f"  Then: {sign}."
        if len(verdict.divergences) > 6:
            yield f"  And {len(verdict.divergences) - 6} more."
    for note in verdict.notes:
        yield f"  Note: {note}."
    if verdict.changes:
        yield f"  Changed since the baseline: {'; '.join(map(str, verdict.changes))}."
    elif verdict.comparisons:
        yield "  Nothing changed in the environment since the baseline."
