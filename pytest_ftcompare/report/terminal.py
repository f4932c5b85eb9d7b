"""The summary at the end of a session: tables, what changed, and the next command.

`plugin` prints it. Each line comes with pytest's markup and can be read without colour. Tables have
80 columns; sentences come whole and are wrapped by the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from pytest_ftcompare.compare.cross_case_audit import budget_notes
from pytest_ftcompare.compare.known_faults import NOT_COMPARED_SUFFIX
from pytest_ftcompare.compare.same_machine import UNTIMED
from pytest_ftcompare.compare.session_verdict import SessionVerdict
from pytest_ftcompare.compare.verdict import (
    OTHER_DEVICE,
    SHORT_TRAINING,
    WORST_FIRST,
    CaseVerdict,
)
from pytest_ftcompare.report import baseline_update, claims, cost, wording
from pytest_ftcompare.report.wording import counted

if TYPE_CHECKING:  # these modules import pytest, which the command `compare` does without
    from pytest_ftcompare.gate.session import GateSession
    from pytest_ftcompare.gate.settings import Settings

Line = tuple[str, dict[str, bool]]  # text, pytest's markup
PLAIN: dict[str, bool] = {}
# Sizes of lists, chosen so that a usual summary fits a screen of 25 lines. Raising them shows more.
MAX_NOTES = 3  # lines for notes of one kind, and cases named in one paragraph
MAX_FILES = 3  # edited files that are named
MAX_CHANGES = 7  # other changes of the environment
UNSURE_Z = 2.0  # standard errors above which an undecided pooled shift is reported
LEARNED = " also learned from "  # separates case and rows in a note of cross_case_audit
NAME_WIDTH = 20  # columns for a method; all columns together are 80


def rank(verdict: CaseVerdict) -> tuple[int, str]:
    """Sort key: the gravest verdict first, then by name."""
    return WORST_FIRST.index(verdict.verdict), verdict.id


def _table_name(verdict: CaseVerdict) -> str:
    """Return what the cases of one table share: everything in the id but the method."""
    return verdict.id.split("-", 1)[1]


def _score(mean: float, sd: float, seeds: int) -> str:
    return f"{100 * mean:5.1f}% ± {100 * sd:3.1f}" if seeds > 1 else f"{100 * mean:5.1f}%{'':6}"


def _row(verdict: CaseVerdict) -> str:
    """Return a case's row: baseline, new, difference or a word, verdict."""
    method = verdict.id.split("-", 1)[0]
    seeds = f"({wording.seeds_trained(verdict)})"
    if not verdict.comparisons:
        score = f"{100 * verdict.scores['accuracy']:5.1f}%" if verdict.scores else ""
        trained = seeds if verdict.seeds else ""
        return f"{method:{NAME_WIDTH}}{'':>13}{score:>7}{'':6} {trained:21}{verdict.verdict:>12}"
    accuracy = verdict.comparisons[0]
    if verdict.identical:
        base, new, change = _score(accuracy.base, 0.0, 1), "identical", f"=  {seeds}"
    else:
        base = _score(accuracy.base, accuracy.base_sd, 2)
        new = _score(accuracy.new, accuracy.new_sd, accuracy.seeds)
        decided = accuracy.outcome in ("worse", "better")
        change = f"{100 * accuracy.delta:+.1f} pt  {seeds}" if decided else f"~  {seeds}"
    if not verdict.judge_accuracy:
        change = f"not judged  {seeds}"
    return f"{method:{NAME_WIDTH}}{base:>13}{new:>13} {change:<21}{verdict.verdict:>12}"


def changed_cases(verdicts: Sequence[CaseVerdict], *, every: bool = True) -> Iterator[Line]:
    """Describe each case that is not the same, the gravest first.

    Without `every`, cases that changed in cost alone share a paragraph when they are many: a cost
    that rises in a whole suite has one cause.
    """
    changed = [verdict for verdict in verdicts if verdict.verdict not in ("same", "new")]
    # Failed cases come before those of the same verdict that are accepted.
    changed.sort(key=lambda verdict: (rank(verdict)[0], verdict.allowed, verdict.id))
    for name, group in groupby(changed, key=wording.verdict_words):
        cases = list(group)
        cost_alone = [verdict for verdict in cases if _is_cost_alone(verdict)]
        if len(cost_alone) > MAX_NOTES and not every:
            cases = [verdict for verdict in cases if not _is_cost_alone(verdict)]
            costs = [change for verdict in cost_alone for change in wording.changed_costs(verdict)]
            names = ", ".join(verdict.id for verdict in cost_alone[:MAX_NOTES])
            yield f"{name} in cost alone: {len(cost_alone)} cases", {"bold": True}
            yield f"  {cost.ranges(costs)}", PLAIN
            yield f"  {names} and {len(cost_alone) - MAX_NOTES} more", PLAIN
        for verdict in cases:
            yield f"{name}: {verdict.id}", {"bold": True}
            yield from ((f"  {text}", PLAIN) for text in wording.case_changes(verdict))
            if verdict.first_divergence and not verdict.divergences:
                yield f"  where it left its baseline: {verdict.first_divergence}", PLAIN


def _is_cost_alone(verdict: CaseVerdict) -> bool:
    """Whether a case differs from its baseline in its costs and in nothing else."""
    scored = any(comparison.outcome in ("worse", "better") for comparison in verdict.comparisons)
    return bool(wording.changed_costs(verdict)) and not (scored or verdict.divergences)


def changes(verdicts: list[CaseVerdict], *, every: bool = True) -> Iterator[Line]:
    """List what changed in the environment, each difference once.

    Many edited files share a line. Without `every`, rare changes and most file names are left out.
    """
    found = [
        change for verdict in verdicts for change in verdict.changes if change.name != "commit"
    ]
    files = sorted({change.name for change in found if change.is_code})
    many_files = len(files) > MAX_FILES
    counts = Counter(str(change) for change in found if not (many_files and change.is_code))
    if found:
        yield "Changed since the baselines:", PLAIN
        shown = counts.most_common(None if every else MAX_CHANGES)
        for text, count in sorted(shown):
            share = f"  ({count} of {len(verdicts)} cases)" if count < len(verdicts) else ""
            yield f"  {text}{share}", PLAIN
        if len(counts) > len(shown):
            yield f"  and {len(counts) - len(shown)} more changes", PLAIN
        if many_files:
            named = files if every else files[:MAX_FILES]
            more = f" and {len(files) - len(named)} more" if len(files) > len(named) else ""
            yield f"  edited: {', '.join(named)}{more}", PLAIN
    elif any(verdict.comparisons for verdict in verdicts):
        yield "Nothing changed in the environment since the baselines.", PLAIN


def _verdict_counts(verdicts: Sequence[CaseVerdict]) -> str:
    return wording.verdict_counts((one.verdict for one in verdicts), reversed(WORST_FIRST))


def counts(verdicts: Sequence[CaseVerdict]) -> str:
    """Count the session's cases: "3 cases: 2 same, 1 worse." """
    return f"{counted(len(verdicts), 'case')}: {_verdict_counts(verdicts)}."


def _suites(verdicts: Sequence[CaseVerdict]) -> Iterator[Line]:
    """Give each suite a line: its cases, how many are identical, their verdicts."""
    if not verdicts:
        return
    yield f"{'suite':{NAME_WIDTH}}{'cases':>7}{'identical':>11}  verdicts", PLAIN
    for suite, group in groupby(verdicts, key=lambda verdict: verdict.suite):
        cases = list(group)
        identical = sum(verdict.identical for verdict in cases)
        yield f"{suite:{NAME_WIDTH}}{len(cases):>7}{identical:>11}  {_verdict_counts(cases)}", PLAIN
    yield "", PLAIN


def _tables(session: GateSession, verdicts: Sequence[CaseVerdict], every: bool) -> Iterator[Line]:
    """Show accuracies of the cases that are not the same, or of all; then what methods cost."""
    rows = [verdict for verdict in verdicts if every or verdict.verdict != "same"]
    for (suite, table), group in groupby(rows, key=lambda row: (row.suite, _table_name(row))):
        yield f"{f'{suite}: {table}':<28}", PLAIN
        heads = f"{'accuracy':{NAME_WIDTH}}{'baseline':>13}{'new':>13} {'vs baseline':<21}"
        yield f"{heads}{'verdict':>12}", PLAIN
        for verdict in sorted(group, key=rank):
            updated = (verdict.suite, verdict.id) in session.updated
            failing = verdict.fails and not updated
            yield _row(verdict), {"red": True} if failing else PLAIN
        yield "", PLAIN
    for suite, group in groupby(verdicts, key=lambda verdict: verdict.suite):
        if lines_of_table := list(cost.table(list(group), every=every)):
            yield f"{suite}: what a method costs", PLAIN
            yield from ((text, PLAIN) for text in lines_of_table)
            yield "", PLAIN


def _unequal_budgets(notes: Sequence[str], every: bool) -> Iterator[str]:
    """Report cases that learned from additional rows: each, or how many of each kind."""
    if every or len(notes) <= MAX_NOTES:
        yield from notes
        return
    kinds = Counter(note.partition(LEARNED)[2] for note in notes)
    if len(kinds) > MAX_NOTES:
        yield f"{counted(len(notes), 'case')}{LEARNED}more rows than the rest"
        return
    yield from (f"{counted(count, 'case')}{LEARNED}{rows}" for rows, count in sorted(kinds.items()))


def _unjudged(verdicts: Sequence[CaseVerdict]) -> Iterator[str]:
    """Report what was not compared or not settled: a line for each reason."""
    incomparable = Counter(
        one.notes[0] for one in verdicts if one.verdict == "incomparable" and one.notes
    )
    for reason, count in sorted(incomparable.items()):
        yield f"Not compared: {counted(count, 'case')} ({reason})"
    if count := sum(OTHER_DEVICE in verdict.notes for verdict in verdicts):
        yield f"Not compared in {counted(count, 'case')}: probe, trace ({OTHER_DEVICE})"
    kernels = Counter(
        note for one in verdicts for note in one.notes if note.endswith(NOT_COMPARED_SUFFIX)
    )
    yield from (f"{counted(count, 'case')}: {note}" for note, count in sorted(kernels.items()))
    if count := sum(verdict.verdict == "undecided" for verdict in verdicts):
        reason = "all seeds that a case may use do not tell"
        yield f"Not settled: {counted(count, 'case')} ({reason})"
    if count := sum(SHORT_TRAINING in verdict.notes for verdict in verdicts):
        yield f"Short training: {counted(count, 'case')} ({SHORT_TRAINING})"
    yield from cost.unjudged(verdicts)


def pooled_shift_lines(session_verdict: SessionVerdict) -> Iterator[str]:
    """Report what all cases show together: gains, undecided shifts, and findings that fail."""
    for shift in session_verdict.shifts:
        if shift.outcome == "better":
            yield f"All cases together: better, {shift.sentence}."
        elif str(shift.outcome) == "noted":
            reason = f" ({shift.note})" if shift.note else ""
            yield f"All cases together, noted, not judged: {shift.sentence}{reason}."
        elif shift.outcome == "none" and abs(shift.z) > UNSURE_Z:
            yield f"All cases together, not enough to tell: {shift.sentence}."
    for finding in session_verdict.findings:
        yield f"All cases together: {finding}."


def _written(session: GateSession, settings: Settings) -> Iterator[Line]:
    """Say what an update wrote, or why it wrote nothing."""
    if session.interrupted:
        yield "Interrupted: no baseline was written.", {"yellow": True}
        return
    if session.failure:
        yield session.failure, {"red": True}
        return
    count = len(session.written) + len(session.written_claims)
    yield f"{count} baselines written to {settings.baselines}: review git diff.", {"green": True}
    if untimed := session.untimed:
        text = f"{len(untimed)} baselines hold no time, as every window was disturbed:"
        remedy = f"update {', '.join(untimed)} again on a quiet machine."
        yield f"{text} {remedy}", {"red": True}


def _allowances(session: GateSession, every: bool) -> Iterator[Line]:
    """Count the known regressions that are accepted for a while, and name those to remove."""
    allowances = session.allowances
    if text := wording.allowance_counts(allowances):
        yield f"{text}.", PLAIN
    told = [allowance for allowance in allowances if every or allowance.state == "unneeded"]
    shown = told if every else told[:MAX_NOTES]
    yield from ((f"  {wording.allowance_sentence(allowance)}", PLAIN) for allowance in shown)
    if len(shown) < len(told):
        yield f"  and {len(told) - len(shown)} more", PLAIN


def _next_commands(session: GateSession, settings: Settings, every: bool) -> Iterator[Line]:
    """Say what an update did, which baselines are stale, and how to run the failures again."""
    verdicts = session.verdicts
    if session.update:
        yield from _written(session, settings)
        if refused := [verdict for verdict in verdicts if verdict.verdict == "invalid"]:
            yield f"{len(refused)} refused: their baselines stay as they were.", {"red": True}
    yield from baseline_update.stale(session, every=every)
    if session.update and not session.new_only:
        return
    judged = [one for one in verdicts if (one.suite, one.id) not in session.updated]
    if any(verdict.fails for verdict in judged) or claims.failing(session.claims):
        yield "Run only these again with --lf; accept them with --lf --update-baselines.", PLAIN


def _audit_findings(session: GateSession) -> Iterator[Line]:
    for finding in session.audit_findings:
        yield f"Audit: {finding.sentence}.", {"red": True}


def lines(session: GateSession, settings: Settings, *, every: bool = False) -> Iterator[Line]:
    """Return the whole summary.

    Without `every`, cases that are the same have no rows, so that a green run fits one screen.
    """
    by_suite = sorted(session.verdicts, key=lambda verdict: (verdict.suite, _table_name(verdict)))
    yield from _suites(by_suite)
    if settings.provisional and not every:
        # The session that is compared with these baselines shows what they hold.
        yield from changed_cases(session.verdicts, every=False)
        yield from _audit_findings(session)
        if session.verdicts:
            yield counts(session.verdicts), {"bold": True}
        yield from claims.summary(session.claims, every=False)
        if session.interrupted or session.failure:
            yield from _written(session, settings)
        return
    yield from _tables(session, by_suite, every)
    kept = [one for one in session.verdicts if not baseline_update.replaced(session, one)]
    yield from changed_cases(kept, every=every)
    yield from baseline_update.written(session)
    yield from changes(session.verdicts, every=every)
    yield from ((text, PLAIN) for text in _unequal_budgets(budget_notes(session.summaries), every))
    yield from ((text, PLAIN) for text in _unjudged(by_suite))
    red = {"red": bool(session.findings)}
    yield from ((text, red) for text in pooled_shift_lines(session.session_verdict))
    yield from _audit_findings(session)
    if session.verdicts:
        yield counts(session.verdicts), {"bold": True}
    yield from _allowances(session, every)
    yield from claims.summary(session.claims, every=every)
    if not (every or session.update) and any(one.verdict == "same" for one in session.verdicts):
        untimed = any(note.startswith(UNTIMED) for one in session.verdicts for note in one.notes)
        full = ", with --ftcompare-full," if untimed else ""
        yield f"-v shows every case, and{full} what each method costs.", PLAIN
    yield from _next_commands(session, settings, every)
