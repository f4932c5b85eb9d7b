"""Two folders of results compared: a row for each case, what changed, what the cases show together.

The command `python -m pytest_ftcompare compare` prints it. The table has 80 columns; sentences come
whole and are wrapped by the caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from pytest_ftcompare.compare.session_verdict import SessionVerdict
from pytest_ftcompare.compare.single_run import Z_THRESHOLD
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.report import wording
from pytest_ftcompare.report.terminal import (
    changed_cases,
    changes,
    counts,
    pooled_shift_lines,
    rank,
)
from pytest_ftcompare.results.peft_files import is_imported
from pytest_ftcompare.results.result_folders import Pairs

NAME_WIDTH = 37  # columns for a case; all columns together are 80
MAX_NAMES = 5  # cases of only one folder that are named
SCORED = ("accuracy", "dino similarity")  # metrics that a row shows
ONE_RUN = (
    f"One run of each case: only what stands {Z_THRESHOLD} standard errors of a rerun from nothing "
    "shows in a single case. The noise of reruns is stated, not measured here (docs/compare.md)."
)


def lines(session_verdict: SessionVerdict, pairs: Pairs) -> Iterator[str]:
    """Return the whole comparison."""
    verdicts = list(session_verdict.verdicts)
    by_suite = sorted(verdicts, key=lambda verdict: verdict.suite)
    for suite, group in groupby(by_suite, key=lambda verdict: verdict.suite):
        heads = f"{_shortened(suite):{NAME_WIDTH}}{'old':>9}{'new':>9} {'new vs old':<12}"
        yield f"{heads}{'verdict':>12}"
        yield from (_row(verdict) for verdict in sorted(group, key=rank))
        yield ""
    yield from (text for text, _ in changed_cases(verdicts))
    yield from (text for text, _ in changes(verdicts))
    for name, cases in (("old", pairs.only_old), ("new", pairs.only_new)):
        if cases:
            named = ", ".join([*cases[:MAX_NAMES], *(["..."] if len(cases) > MAX_NAMES else [])])
            yield f"Only in the {name} folder, not compared: {len(cases)} ({named})"
    if any(is_imported(old) for old, _ in pairs.both):
        yield ONE_RUN
    yield from pooled_shift_lines(session_verdict)
    yield counts(verdicts)


def _row(verdict: CaseVerdict) -> str:
    name = f"{_shortened(verdict.id):{NAME_WIDTH}}"
    unjudged = "" if verdict.judge_accuracy else "not judged"
    if not verdict.comparisons:
        values = [value for metric, value in verdict.scores.items() if metric in SCORED]
        score = f"{values[0]:.1%}" if values else ""
        is_same = verdict.verdict == "same" and verdict.judge_accuracy
        word = "identical" if is_same else unjudged
        return f"{name}{'':>9}{score:>9} {word:<12}{verdict.verdict:>12}"
    accuracy = wording.shown_comparisons(verdict)[0]
    change = unjudged or f"{100 * accuracy.delta:+.1f} pt"
    if verdict.identical:
        change = "identical"
    return f"{name}{accuracy.base:>9.1%}{accuracy.new:>9.1%} {change:<12}{verdict.verdict:>12}"


def _shortened(name: str) -> str:
    """Fit a name into its column; its middle is left out if need be."""
    half = (NAME_WIDTH - 2) // 2
    return name if len(name) < NAME_WIDTH else f"{name[:half]}…{name[-half:]}"
