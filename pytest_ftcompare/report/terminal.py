"""The summary at the end of a session: tables of accuracy, worst first within, footnotes, and what to do next.

A generator of (line, markup); readable without colour. Tables have 80 columns; sentences are whole, to be wrapped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from pytest_ftcompare.compare.cross_case_audit import budgets
from pytest_ftcompare.compare.known_faults import PARTED
from pytest_ftcompare.compare.same_machine import UNTIMED
from pytest_ftcompare.compare.session_verdict import SessionVerdict
from pytest_ftcompare.compare.verdict import (
    ELSEWHERE,
    FAILING,
    SHORT,
    WORST_FIRST,
    CaseVerdict,
    repeated,
)
from pytest_ftcompare.report import baseline_update, claims, cost
from pytest_ftcompare.report.outcome import sentence, trained

if TYPE_CHECKING:  # options import pytest, which comparing two folders does without
    from pytest_ftcompare.gate.session import GateSession
    from pytest_ftcompare.gate.settings import Settings

Line = tuple[str, dict[str, bool]]
PLAIN: dict[str, bool] = {}
FEW = 3  # edited files that have a line each, and notes of one kind
EDITED = 3  # of more edited files, those that are named
CHANGES = 7  # other changes of the environment that have a line each
LEARNED = " also learned from "  # what splits a note of compare/cross_case_audit.py
UNSURE = 2.0  # standard errors above which a pooled shift that decides nothing is told
NAME = 20  # columns for a method; all columns together are 80


def rank(one: CaseVerdict) -> tuple[int, str]:
    """The gravest verdict first, then by name."""
    return WORST_FIRST.index(one.verdict), one.id


def _setting(one: CaseVerdict) -> str:
    """What the cases of one table share: everything in the id but the method."""
    return one.id.split("-", 1)[1]


def _score(mean: float, sd: float, seeds: int) -> str:
    return f"{100 * mean:5.1f}% ± {100 * sd:3.1f}" if seeds > 1 else f"{100 * mean:5.1f}%{'':6}"


def _row(one: CaseVerdict) -> str:
    """A case's row: baseline, new, difference or a word, verdict."""
    method = one.id.split("-", 1)[0]
    seeds = f"({trained(one)})"
    if not one.comparisons:
        score = f"{100 * one.scores['accuracy']:5.1f}%" if one.scores else ""
        return f"{method:{NAME}}{'':>13}{score:>7}{'':6} {seeds if one.seeds else '':21}{one.verdict:>12}"
    first = one.comparisons[0]
    if one.identical:
        base, new, versus = _score(first.base, 0.0, 1), "identical", f"=  {seeds}"
    else:
        base, new = (
            _score(first.base, first.base_sd, 2),
            _score(first.new, first.new_sd, first.seeds),
        )
        shift = f"{100 * first.delta:+.1f} pt" if first.outcome in ("worse", "better") else "~"
        versus = f"{shift}  {seeds}"
    if not one.judge_accuracy:
        versus = f"not judged  {seeds}"
    return f"{method:{NAME}}{base:>13}{new:>13} {versus:<21}{one.verdict:>12}"


def moved(verdicts: Sequence[CaseVerdict], *, every: bool = True) -> Iterator[Line]:
    """Each case that moved, the gravest first.

    Without `every`, many cases that moved in cost alone are told together: what is slower or larger in a
    whole suite has one cause.
    """
    found = [one for one in sorted(verdicts, key=rank) if one.verdict not in ("same", "new")]
    for verdict, cases in groupby(found, key=lambda one: one.verdict):
        group = list(cases)
        alike = [one for one in group if _cost_alone(one)]
        if len(alike) > FEW and not every:
            group = [one for one in group if not _cost_alone(one)]
            names = ", ".join(one.id for one in alike[:FEW])
            yield f"{verdict} in cost alone: {len(alike)} cases", {"bold": True}
            yield (
                f"  {cost.shifts([reading for one in alike for reading in cost.moved(one)])}",
                PLAIN,
            )
            yield f"  {names} and {len(alike) - FEW} more", PLAIN
        for one in group:
            yield from _moved(one)


def _moved(one: CaseVerdict) -> Iterator[Line]:
    """A case's name, what moved, its first divergence."""
    yield f"{one.verdict}: {one.id}", {"bold": True}
    for comparison in one.comparisons:
        if comparison.outcome in ("worse", "better"):
            yield f"  {sentence(comparison, identical=one.identical)}", PLAIN
    for reading in cost.moved(one):
        yield f"  {cost.change(reading)}", PLAIN
    if one.first_divergence and not one.divergences:
        yield f"  where it left its baseline: {one.first_divergence}", PLAIN
    for sign in (one.divergences or [note for note in one.notes if not repeated([note])])[:1]:
        yield f"  first divergence: {sign}", PLAIN


def _cost_alone(one: CaseVerdict) -> bool:
    """Whether a case is not what it was in what it costs, and no sign or score of it counts."""
    scored = any(comparison.outcome in ("worse", "better") for comparison in one.comparisons)
    return bool(cost.moved(one)) and not (scored or one.divergences)


def changes(verdicts: list[CaseVerdict], *, every: bool = True) -> Iterator[Line]:
    """What changed in the environment, each difference once; many edited files in one paragraph.

    Without `every`, only the changes that most cases have, and the first of many edited files.
    """
    found = [change for one in verdicts for change in one.changes if change.name != "commit"]
    code = sorted({change.name for change in found if change.is_code})
    several = len(code) > FEW
    counted = Counter(str(change) for change in found if not (several and change.is_code))
    if found:
        yield "Changed since the baselines:", PLAIN
        shown = counted.most_common(None if every else CHANGES)
        for text, count in sorted(shown):
            yield (
                f"  {text}"
                + (f"  ({count} of {len(verdicts)} cases)" if count < len(verdicts) else ""),
                PLAIN,
            )
        if len(counted) > len(shown):
            yield f"  and {len(counted) - len(shown)} more changes", PLAIN
        if several:
            named = code if every else code[:EDITED]
            more = f" and {len(code) - len(named)} more" if len(code) > len(named) else ""
            yield f"  edited: {', '.join(named)}{more}", PLAIN
    elif any(one.comparisons for one in verdicts):
        yield "Nothing changed in the environment since the baselines.", PLAIN


def _verdicts(verdicts: Sequence[CaseVerdict]) -> str:
    """ "2 same, 1 worse"."""
    counted = Counter(one.verdict for one in verdicts)
    return ", ".join(
        f"{counted[verdict]} {verdict}" for verdict in reversed(WORST_FIRST) if counted[verdict]
    )


def _cases(count: int) -> str:
    return f"{count} case{'s' * (count != 1)}"


def counts(verdicts: Sequence[CaseVerdict]) -> str:
    """ "3 cases: 2 same, 1 worse." """
    return f"{_cases(len(verdicts))}: {_verdicts(verdicts)}."


def _suites(verdicts: Sequence[CaseVerdict]) -> Iterator[Line]:
    """A line for each suite: its cases, how many of them repeated bit for bit, their verdicts."""
    if not verdicts:
        return
    yield f"{'suite':{NAME}}{'cases':>7}{'identical':>11}  verdicts", PLAIN
    for suite, group in groupby(verdicts, key=lambda one: one.suite):
        cases = list(group)
        identical = sum(one.identical for one in cases)
        yield f"{suite:{NAME}}{len(cases):>7}{identical:>11}  {_verdicts(cases)}", PLAIN
    yield "", PLAIN


def _tables(session: GateSession, verdicts: Sequence[CaseVerdict], every: bool) -> Iterator[Line]:
    """The accuracies of cases that are not the same, or of every case, then what methods cost."""
    rows = [one for one in verdicts if every or one.verdict != "same"]
    for (suite, config), group in groupby(rows, key=lambda one: (one.suite, _setting(one))):
        title = f"{suite}: {config}"
        yield f"{title:<28}", PLAIN
        yield (
            f"{'accuracy':{NAME}}{'baseline':>13}{'new':>13} {'vs baseline':<21}{'verdict':>12}",
            PLAIN,
        )
        for one in sorted(group, key=rank):
            failing = one.verdict in FAILING and (one.suite, one.id) not in session.updated
            yield _row(one), {"red": True} if failing else PLAIN
        yield "", PLAIN
    for suite, group in groupby(verdicts, key=lambda one: one.suite):
        if found := list(cost.table(list(group), every=every)):
            yield f"{suite}: what a method costs", PLAIN
            yield from ((text, PLAIN) for text in found)
            yield "", PLAIN


def _unequal(notes: Sequence[str], every: bool) -> Iterator[str]:
    """Cases that also learned from other rows: each, or how many learned from the same."""
    if every or len(notes) <= FEW:
        yield from notes
        return
    counted = Counter(note.partition(LEARNED)[2] for note in notes)
    if len(counted) > FEW:
        yield f"{_cases(len(notes))}{LEARNED}more rows than the rest"
        return
    yield from (f"{_cases(count)}{LEARNED}{what}" for what, count in sorted(counted.items()))


def _unjudged(verdicts: Sequence[CaseVerdict]) -> Iterator[str]:
    """What was not compared or not settled, over the whole session: a line for each reason."""
    unlike = Counter(
        one.notes[0] for one in verdicts if one.verdict == "incomparable" and one.notes
    )
    yield from (
        f"Not compared: {_cases(count)} ({reason})" for reason, count in sorted(unlike.items())
    )
    if count := sum(ELSEWHERE in one.notes for one in verdicts):
        yield f"Not compared in {_cases(count)}: probe, trace ({ELSEWHERE})"
    parted = Counter(note for one in verdicts for note in one.notes if note.endswith(PARTED))
    yield from (f"{_cases(count)}: {note}" for note, count in sorted(parted.items()))
    if count := sum(one.verdict == "undecided" for one in verdicts):
        yield f"Not settled: {_cases(count)} (all seeds that a case may use do not tell)"
    if count := sum(SHORT in one.notes for one in verdicts):
        yield f"Short training: {_cases(count)} ({SHORT})"
    yield from cost.unjudged(verdicts)


def together(overall: SessionVerdict) -> Iterator[str]:
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


def _remedy(session: GateSession, settings: Settings, every: bool) -> Iterator[Line]:
    verdicts = session.verdicts
    judged = [one for one in verdicts if (one.suite, one.id) not in session.updated]
    if session.update:
        if session.interrupted:
            yield "Interrupted: no baseline was written.", {"yellow": True}
        elif session.failure:
            yield session.failure, {"red": True}
        else:
            count = len(session.written) + len(session.written_claims)
            yield (
                f"{count} baselines written to {settings.baselines}: review git diff.",
                {"green": True},
            )
            if untimed := session.untimed:
                text = f"{len(untimed)} baselines hold no time, as every window was disturbed:"
                again = f"update {', '.join(untimed)} again on a quiet machine."
                yield f"{text} {again}", {"red": True}
        if refused := [one for one in verdicts if one.verdict == "invalid"]:
            yield f"{len(refused)} refused: their baselines stay as they were.", {"red": True}
    yield from baseline_update.stale(session, every=every)
    if session.update and not session.new_only:
        return
    failing = any(one.verdict in FAILING for one in judged)
    if failing or claims.failing(session.claims):
        yield "Run only these again with --lf; accept them with --lf --update-baselines.", PLAIN


def lines(session: GateSession, settings: Settings, *, every: bool = False) -> Iterator[Line]:
    """The whole summary; without `every` no rows of cases that are the same, so that a green run fits one screen."""
    by_suite = sorted(session.verdicts, key=lambda one: (one.suite, _setting(one)))
    yield from _suites(by_suite)
    yield from _tables(session, by_suite, every)
    yield from moved(
        [one for one in session.verdicts if not baseline_update.replaced(session, one)], every=every
    )
    yield from baseline_update.written(session)
    yield from changes(session.verdicts, every=every)
    yield from ((line, PLAIN) for line in _unequal(budgets(session.summaries), every))
    yield from ((line, PLAIN) for line in _unjudged(by_suite))
    yield from (
        (line, {"red": bool(session.findings)}) for line in together(session.session_verdict)
    )
    for finding in session.refused:
        yield f"Audit: {finding.sentence}.", {"red": True}
    if session.verdicts:
        yield counts(session.verdicts), {"bold": True}
    yield from claims.summary(session.claims, every=every)
    if not (every or session.update) and any(one.verdict == "same" for one in session.verdicts):
        untimed = any(note.startswith(UNTIMED) for one in session.verdicts for note in one.notes)
        yield (
            f"-v shows every case, and{', with --ftcompare-full,' if untimed else ''} what each method costs.",
            PLAIN,
        )
    yield from _remedy(session, settings, every)
