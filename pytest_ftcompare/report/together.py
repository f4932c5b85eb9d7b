"""What cases say together: their pooled shifts, told or found, as lines."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ftcompare.compare.overall import Overall

UNSURE = 2.0  # standard errors above which a pooled shift that decides nothing is told


def together(overall: Overall) -> Iterator[str]:
    """Gains, shifts that are not enough to tell, and what fails the whole."""
    for shift in overall.shifts:
        if shift.outcome == "better":
            yield f"All cases together: better, {shift.sentence}."
        elif str(shift.outcome) == "noted":
            because = f" ({shift.note})" if shift.note else ""
            yield f"All cases together, noted, not judged: {shift.sentence}{because}."
        elif shift.outcome == "none" and abs(shift.z) > UNSURE:
            yield f"All cases together, not enough to tell: {shift.sentence}."
    for finding in overall.findings:
        yield f"All cases together: {finding}."
