"""Claims as text: a failed one's section, the summary's, and the page of all of them from their baselines.

`python -m pytest_ftcompare.report.claims baselines/cpu > docs/claims.md` makes the page again.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from pytest_ftcompare.compare.claims.claim import FAILING, ClaimVerdict
from pytest_ftcompare.report.cost import alike
from pytest_ftcompare.report.wrapping import wrapped
from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.claim_record import OUTCOMES, ClaimRecord

Line = tuple[str, dict[str, bool]]
SHOWN = 4  # cases of a claim, and claims that are noted, that are named one by one
NOTED = 2  # claims that are noted of which each has its lines, before only their names are given
HEAD = """# Claims

What the studies state of how methods relate, as tests: `suites/test_claims.py`. A claim is *reproduced* where the 95 %
interval of its estimate lies wholly where the study says, *contradicted* where it lies wholly elsewhere, else *undecided*. The
interval is over seeds (t, paired by seed, tasks with equal weight) or over rounds of two pieces of work timed in turns; what
is counted has none. The profiles' models and tasks are small: an outcome says what holds here, and the gate fails when it
*changes*, not when a study disagrees. To or from *undecided* it may go while both estimates lie within four of their joint
standard errors: that is noted, and passes. What a study reported and why this suite sees it otherwise:
[few-shot](studies/few-shot.md), [the catalogue](studies/peft-methods.md),
[instruction tuning](studies/instruction-tuning.md).

Generated from the baselines, {device}."""
STUDIES = {
    "few-shot": "Few-shot",
    "peft-methods": "The catalogue",
    "instruction-tuning": "Instruction tuning",
}


def _turn(verdict: ClaimVerdict) -> str:
    """ "it was reproduced (+3.1 pt ± 0.4), it is undecided (+0.7 pt ± 0.6)"."""
    new, before = verdict.record, verdict.before
    assert new is not None
    now = f"it is {new.outcome} ({new.estimate}, n {new.estimate.n})"
    return (
        f"it was {before.outcome} ({before.estimate}, n {before.estimate.n}), {now}"
        if before
        else now
    )


def explain(verdict: ClaimVerdict, nodeid: str, options: str = "") -> Iterator[str]:
    """The lines of a claim that failed, ending in the remedy; `options` are the run's own, to be given again."""
    record = verdict.record
    assert record is not None
    meaning = (
        "its outcome is not its baseline's"
        if verdict.verdict == "changed"
        else "it has no baseline yet"
    )
    yield from wrapped(f"{verdict.name}: {verdict.verdict}, {meaning}: {_turn(verdict)}.")
    yield from wrapped(f"  {record.source}: {record.statement}.")
    yield from wrapped(f"  Expected {record.statistic}.")
    if verdict.note:
        yield from wrapped(f"  Note: {verdict.note}.")
    yield from wrapped(f"  Cases: {', '.join(record.cases[:SHOWN])}{_more(len(record.cases))}.")
    yield "  Run it again:"
    yield f"    pytest{options} '{nodeid}'"
    yield (
        "  If it is meant, accept it and review the diff in git:"
        if verdict.before
        else "  Make its baseline:"
    )
    yield f"    pytest{options} --update-baselines '{nodeid}'"


def _more(count: int) -> str:
    return f" and {count - SHOWN} more" if count > SHOWN else ""


def counts(verdicts: Sequence[ClaimVerdict]) -> str:
    """ "3 claims: 2 reproduced, 1 undecided." """
    counted = Counter(one.record.outcome if one.record else "not tested" for one in verdicts)
    words = ", ".join(f"{counted[one]} {one}" for one in (*OUTCOMES, "not tested") if counted[one])
    return f"{len(verdicts)} claim{'s' * (len(verdicts) != 1)}: {words}."


def failing(verdicts: Iterable[ClaimVerdict]) -> bool:
    """Whether any claim fails."""
    return any(one.verdict in FAILING and not one.update for one in verdicts)


def summary(verdicts: Sequence[ClaimVerdict], *, every: bool = True) -> Iterator[Line]:
    """The summary's lines: claims that moved, why some were not tested, how many had which outcome.

    Without `every`, more than `NOTED` claims that are only noted are a line with their names.
    """
    if not verdicts:
        return
    noted = sorted(one.name for one in verdicts if one.verdict == "noted" and not one.update)
    brief = not every and len(noted) > NOTED
    if brief:
        yield (
            f"{len(noted)} claims noted, within the noise of both: {', '.join(noted[:SHOWN])}{_more(len(noted))}",
            {},
        )
    for one in sorted(verdicts, key=lambda one: one.name):
        if brief and one.name in noted:
            continue
        moved = (
            one.before is not None
            and one.record is not None
            and one.before.outcome != one.record.outcome
        )
        if one.verdict in ("changed", "noted") or (one.update and moved):
            yield f"{one.verdict}: {one.name}", {"bold": True}
            yield f"  {_turn(one)}", {}
    notes = [one.note for one in verdicts if one.verdict == "untested"]
    told = alike(notes)
    for note, count in sorted(Counter(told[one] for one in notes).items()):
        yield f"  {count} claim{'s' * (count != 1)} not tested: {note}", {}
    yield counts(verdicts), {"bold": True, "red": failing(verdicts)}


def read(folder: Path) -> dict[str, list[ClaimRecord]]:
    """The baselines of claims of one device, by profile, in the order of studies and names."""
    found: dict[str, list[ClaimRecord]] = {}
    for path in sorted(folder.glob(f"{baseline_store.CLAIMS}/*/*.json")):
        if (record := baseline_store.read_claim(path, path.stem)) is not None:
            found.setdefault(record.profile, []).append(record)
    order = list(STUDIES)
    return {
        name: sorted(group, key=lambda one: (order.index(one.study), one.name))
        for name, group in found.items()
    }


def page(folder: Path) -> Iterator[str]:
    """The lines of docs/claims.md."""
    yield HEAD.format(device=f"device `{folder.name}`")
    for profile, records in read(folder).items():
        counted = Counter(one.outcome for one in records)
        yield ""
        words = ", ".join(f"{counted[one]} {one}" for one in OUTCOMES)
        yield f"## Profile `{profile}`: {len(records)} claims, {words}"
        for study, group in groupby(records, key=lambda one: one.study):
            yield ""
            yield f"### {STUDIES[study]}"
            yield ""
            yield from table(list(group))


def table(records: Sequence[ClaimRecord]) -> Iterator[str]:
    """Claims as a Markdown table."""
    yield "| claim | source | statistic | outcome | estimate ± SE | n |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for one in records:
        anchor = f'<a id="{one.name}"></a>`{one.name}`: {one.statement}'
        n = "counted" if one.estimate.error == 0 and one.estimate.n == 1 else str(one.estimate.n)
        yield f"| {anchor} | {one.source} | {one.statistic} | {one.outcome} | {one.estimate} | {n} |"


if __name__ == "__main__":
    print("\n".join(page(Path(sys.argv[1]))))
