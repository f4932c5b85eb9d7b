"""Claims as text: the section of a failed claim, and the summary's lines.

`plugin/claim_fixture.py` makes the section pytest's failure message; `terminal.py` prints the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pytest_ftcompare.compare.claims.claim import FAILING, ClaimVerdict
from pytest_ftcompare.report.cost import merge_percentages
from pytest_ftcompare.report.failure import commands
from pytest_ftcompare.report.wording import claim_change, counted
from pytest_ftcompare.report.wrapping import wrapped
from pytest_ftcompare.results.claim_record import OUTCOMES

Line = tuple[str, dict[str, bool]]
MAX_NAMES = 4  # cases of a claim, or noted claims, that are named; chosen to fit two lines
MAX_NOTED = 2  # noted claims that have lines of their own; more share one line


def _change(verdict: ClaimVerdict) -> str:
    """Compare a claim's outcome with its baseline's; the claim must have been tested."""
    new, before = verdict.record, verdict.before
    assert new is not None
    earlier = (before.outcome, before.estimate) if before else None
    return claim_change(earlier, (new.outcome, new.estimate))


def explain(verdict: ClaimVerdict, nodeid: str, options: str = "") -> Iterator[str]:
    """Return the lines for a failed claim, which end in the next commands.

    `options` are those of this run, repeated in the commands.
    """
    record = verdict.record
    assert record is not None
    is_changed = verdict.verdict == "changed"
    meaning = "its outcome is not its baseline's" if is_changed else "it has no baseline yet"
    yield from wrapped(f"{verdict.name}: {verdict.verdict}, {meaning}: {_change(verdict)}.")
    yield from wrapped(f"  {record.source}: {record.statement}.")
    yield from wrapped(f"  Expected {record.statistic}.")
    if verdict.note:
        yield from wrapped(f"  Note: {verdict.note}.")
    cases = f"{', '.join(record.cases[:MAX_NAMES])}{_more(len(record.cases))}"
    yield from wrapped(f"  Cases: {cases}.")
    yield from commands(nodeid, options, can_accept=True, is_new=not verdict.before)


def _more(count: int) -> str:
    return f" and {count - MAX_NAMES} more" if count > MAX_NAMES else ""


def counts(verdicts: Sequence[ClaimVerdict]) -> str:
    """Count the outcomes of claims: "3 claims: 2 reproduced, 1 undecided." """
    outcomes = Counter(one.record.outcome if one.record else "not tested" for one in verdicts)
    order = (*OUTCOMES, "not tested")
    words = ", ".join(f"{outcomes[name]} {name}" for name in order if outcomes[name])
    return f"{counted(len(verdicts), 'claim')}: {words}."


def failing(verdicts: Iterable[ClaimVerdict]) -> bool:
    """Whether any claim fails."""
    return any(verdict.verdict in FAILING and not verdict.update for verdict in verdicts)


def _has_changed(verdict: ClaimVerdict) -> bool:
    """Whether the outcome differs from the baseline's."""
    before, new = verdict.before, verdict.record
    return before is not None and new is not None and before.outcome != new.outcome


def summary(verdicts: Sequence[ClaimVerdict], *, every: bool = True) -> Iterator[Line]:
    """Return the summary's lines: changed claims, why some were not tested, counts by outcome.

    Without `every`, more than `MAX_NOTED` noted claims share a line.
    """
    if not verdicts:
        return
    noted = sorted(one.name for one in verdicts if one.verdict == "noted" and not one.update)
    shortened = not every and len(noted) > MAX_NOTED
    if shortened:
        names = f"{', '.join(noted[:MAX_NAMES])}{_more(len(noted))}"
        yield f"{len(noted)} claims noted, within the noise of both: {names}", {}
    for verdict in sorted(verdicts, key=lambda verdict: verdict.name):
        if shortened and verdict.name in noted:
            continue
        accepted_change = verdict.update and _has_changed(verdict)
        if verdict.verdict in ("changed", "noted") or accepted_change:
            yield f"{verdict.verdict}: {verdict.name}", {"bold": True}
            yield f"  {_change(verdict)}", {}
    notes = [verdict.note for verdict in verdicts if verdict.verdict == "untested"]
    merged = merge_percentages(notes)
    for note, count in sorted(Counter(merged[note] for note in notes).items()):
        yield f"  {counted(count, 'claim')} not tested: {note}", {}
    yield counts(verdicts), {"bold": True, "red": failing(verdicts)}
