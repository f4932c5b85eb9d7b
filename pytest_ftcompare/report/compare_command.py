"""Two folders of results, compared: a table with a line for each case, what moved, what the cases say together.

The table has 80 columns; sentences are whole, to be wrapped.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from pytest_ftcompare.compare.session_verdict import SessionVerdict
from pytest_ftcompare.compare.single_run import Z_THRESHOLD
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.report import outcome
from pytest_ftcompare.report.terminal import changes, counts, moved, rank, together
from pytest_ftcompare.results.peft_files import is_imported
from pytest_ftcompare.results.result_folders import Pairs

NAME = 37  # columns for a case; all columns together are 80
FEW = 5  # cases of one folder that are listed by name
ONE_RUN = (
    f"One run of each case: only what stands {Z_THRESHOLD} standard errors of a rerun from nothing shows in a single case. "
    "The noise of reruns is stated, not measured here (docs/compare.md)."
)


def lines(overall: SessionVerdict, pairs: Pairs) -> Iterator[str]:
    """The whole comparison."""
    by_suite = sorted(overall.verdicts, key=lambda one: one.suite)
    for suite, group in groupby(by_suite, key=lambda one: one.suite):
        yield f"{_short(suite):{NAME}}{'old':>9}{'new':>9} {'new vs old':<12}{'verdict':>12}"
        for one in sorted(group, key=rank):
            yield _row(one)
        yield ""
    yield from (text for text, _ in moved(list(overall.verdicts)))
    yield from (text for text, _ in changes(list(overall.verdicts)))
    for name, cases in (("old", pairs.only_old), ("new", pairs.only_new)):
        if cases:
            listed = ", ".join([*cases[:FEW], *(["..."] if len(cases) > FEW else [])])
            yield f"Only in the {name} folder, not compared: {len(cases)} ({listed})"
    if any(is_imported(old) for old, _ in pairs.both):
        yield ONE_RUN
    yield from together(overall)
    yield counts(list(overall.verdicts))


def _row(one: CaseVerdict) -> str:
    name = _short(one.id)
    if not one.comparisons:
        score = next(
            (
                f"{value:.1%}"
                for metric, value in one.scores.items()
                if metric in ("accuracy", "dino similarity")
            ),
            "",
        )
        word = (
            "identical"
            if one.verdict == "same" and one.judge_accuracy
            else ""
            if one.judge_accuracy
            else "not judged"
        )
        return f"{name:{NAME}}{'':>9}{score:>9} {word:<12}{one.verdict:>12}"
    first = outcome.shown(one)[0]
    shift = (
        "identical"
        if one.identical
        else f"{100 * first.delta:+.1f} pt"
        if one.judge_accuracy
        else "not judged"
    )
    return f"{name:{NAME}}{first.base:>9.1%}{first.new:>9.1%} {shift:<12}{one.verdict:>12}"


def _short(name: str) -> str:
    """A name that fits its column, its middle left out if need be."""
    half = (NAME - 2) // 2
    return name if len(name) < NAME else f"{name[:half]}…{name[-half:]}"
