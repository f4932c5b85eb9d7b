"""The summary at the end of a session: tables of accuracy, worst first within, footnotes, and what to do next.

A generator of (line, markup); readable without colour. Tables have 80 columns; sentences are whole, to be wrapped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from pytest_ftcompare.compare.audit_suite import budgets
from pytest_ftcompare.compare.verdict import FAILING, IDENTICAL, WORST_FIRST, Judgement
from pytest_ftcompare.report import claims, cost, update
from pytest_ftcompare.report.failure import change
from pytest_ftcompare.report.together import together

if TYPE_CHECKING:  # options import pytest, which comparing two folders does without
    from pytest_ftcompare.options import Settings
    from pytest_ftcompare.session import Session

Line = tuple[str, dict[str, bool]]
PLAIN: dict[str, bool] = {}
FEW = 3  # edited files that are listed one by one
NAME = 20  # columns for a method; all columns together are 80


def rank(one: Judgement) -> tuple[int, str]:
    """The gravest verdict first, then by name."""
    return WORST_FIRST.index(one.verdict), one.id


def _setting(one: Judgement) -> str:
    """What the cases of one table share: everything in the id but the method."""
    return one.id.split("-", 1)[1]


def _score(mean: float, sd: float, seeds: int) -> str:
    return f"{100 * mean:5.1f}% ± {100 * sd:3.1f}" if seeds > 1 else f"{100 * mean:5.1f}%{'':6}"


def _row(one: Judgement) -> str:
    """A case's row: baseline, new, difference or a word, verdict."""
    method = one.id.split("-", 1)[0]
    seeds = f"({one.seeds} seed{'s' * (one.seeds != 1)})"
    if not one.comparisons:
        score = f"{100 * one.scores['accuracy']:5.1f}%" if one.scores else ""
        return f"{method:{NAME}}{'':>13}{score:>7}{'':6} {seeds if one.seeds else '':21}{one.verdict:>12}"
    first = one.comparisons[0]
    if IDENTICAL in one.notes:
        base, new, versus = _score(first.base, 0.0, 1), "identical", f"=  {seeds}"
    else:
        base, new = _score(first.base, first.base_sd, 2), _score(first.new, first.new_sd, first.seeds)
        shift = f"{100 * first.delta:+.1f} pt" if first.outcome in ("worse", "better") else "~"
        versus = f"{shift}  {seeds}"
    if not one.outcome:
        versus = f"not judged  {seeds}"
    return f"{method:{NAME}}{base:>13}{new:>13} {versus:<21}{one.verdict:>12}"


def moved(judgements: list[Judgement]) -> Iterator[Line]:
    """Each case that moved: its name, what moved, its first sign."""
    for one in sorted(judgements, key=rank):
        if one.verdict in ("same", "new"):
            continue
        yield f"{one.verdict}: {one.id}", {"bold": True}
        for comparison in one.comparisons:
            if comparison.outcome in ("worse", "better"):
                yield f"  {change(comparison)}", PLAIN
        for reading in cost.moved(one):
            yield f"  {cost.change(reading)}", PLAIN
        if one.began and not one.signs:
            yield f"  where it left its baseline: {one.began}", PLAIN
        for sign in (one.signs or [note for note in one.notes if note != IDENTICAL])[:1]:
            yield f"  first sign: {sign}", PLAIN


def changes(judgements: list[Judgement]) -> Iterator[Line]:
    """What changed in the environment, each difference once; many edited files in one paragraph."""
    found = [change for one in judgements for change in one.changes if change.name != "commit"]
    code = sorted({change.name for change in found if change.is_code})
    several = len(code) > FEW
    counted = Counter(str(change) for change in found if not (several and change.is_code))
    if found:
        yield "Changed since the baselines:", PLAIN
        for text, count in sorted(counted.items()):
            yield f"  {text}" + (f"  ({count} of {len(judgements)} cases)" if count < len(judgements) else ""), PLAIN
        if several:
            yield f"  edited: {', '.join(code)}", PLAIN
    elif any(one.comparisons for one in judgements):
        yield "Nothing changed in the environment since the baselines.", PLAIN


def counts(judgements: list[Judgement]) -> str:
    """ "3 cases: 2 same, 1 worse." """
    counted = Counter(one.verdict for one in judgements)
    words = ", ".join(f"{counted[verdict]} {verdict}" for verdict in reversed(WORST_FIRST) if counted[verdict])
    return f"{len(judgements)} case{'s' * (len(judgements) != 1)}: {words}."


def _remedy(session: Session, settings: Settings) -> Iterator[Line]:
    judgements = session.judgements
    judged = [one for one in judgements if (one.suite, one.id) not in session.updated]
    if session.update:
        if session.interrupted:
            yield "Interrupted: no baseline was written.", {"yellow": True}
        elif session.failure:
            yield session.failure, {"red": True}
        else:
            count = len(session.written) + len(session.written_claims)
            yield f"{count} baselines written to {settings.baselines}: review git diff.", {"green": True}
            if untimed := session.untimed:
                text = f"{len(untimed)} baselines hold no time, as every window was disturbed:"
                again = f"update {', '.join(untimed)} again on a quiet machine."
                yield f"{text} {again}", {"red": True}
        if refused := [one for one in judgements if one.verdict == "invalid"]:
            yield f"{len(refused)} refused: their baselines stay as they were.", {"red": True}
    yield from update.stale(session)
    if session.update and not session.new_only:
        return
    failing = any(one.verdict in FAILING for one in judged)
    if failing or claims.failing(session.claims):
        yield "Run only these again with --lf; accept them with --lf --update-baselines.", PLAIN


def lines(session: Session, settings: Settings) -> Iterator[Line]:
    """The whole summary."""
    by_suite = sorted(session.judgements, key=lambda one: (one.suite, _setting(one)))
    for (suite, setting), group in groupby(by_suite, key=lambda one: (one.suite, _setting(one))):
        title = f"{suite}: {setting}"
        yield f"{title:<28}", PLAIN
        yield f"{'accuracy':{NAME}}{'baseline':>13}{'new':>13} {'vs baseline':<21}{'verdict':>12}", PLAIN
        for one in sorted(group, key=rank):
            yield _row(one), {"red": True} if one.verdict in FAILING and (one.suite, one.id) not in session.updated else PLAIN
        yield "", PLAIN
    for suite, group in groupby(by_suite, key=lambda one: one.suite):
        if found := list(cost.table(list(group))):
            yield f"{suite}: what a method costs", PLAIN
            yield from ((text, PLAIN) for text in found)
            yield "", PLAIN
    if notes := budgets(session.summaries):
        yield from ((note, PLAIN) for note in notes)
        yield "", PLAIN
    yield from moved([one for one in session.judgements if not update.replaced(session, one)])
    yield from update.written(session)
    yield from changes(session.judgements)
    yield from ((line, {"red": bool(session.findings)}) for line in together(session.overall))
    for finding in session.refused:
        yield f"Audit: {finding.sentence}.", {"red": True}
    if session.judgements:
        yield counts(session.judgements), {"bold": True}
    yield from claims.summary(session.claims)
    yield from _remedy(session, settings)
