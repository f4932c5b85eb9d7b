"""The section of a failed case: what changed, against which noise, where it began, what to do.

`plugin/gate_fixture.py` makes it pytest's failure message.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from pytest_ftcompare.compare.environment_diff import Difference
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.measure.library_versions import PACKAGES
from pytest_ftcompare.report import wording
from pytest_ftcompare.report.wrapping import wrapped

RELEASE = re.compile(r"\d[\w.]*")  # a version that an index has, without a commit or edits
MAX_DIVERGENCES = 6  # named in a section; the report has all


# Options of a session that a search repeats; a search decides the others itself.
SEARCH_OPTIONS = ("profile", "hub", "device", "threads", "strict")


def search_options(options: str) -> list[str]:
    """Return the options of a session, as given, that choose what a search runs."""
    prefixes = tuple(f"--ftcompare-{name}" for name in SEARCH_OPTIONS)
    return [option for option in shlex.split(options) if option.startswith(prefixes)]


def explain(verdict: CaseVerdict, nodeid: str, options: str = "") -> Iterator[str]:
    """Return the lines for a failed case, which end in the next commands.

    `options` are those of this run, repeated in the commands.
    """
    for line in _findings(verdict):
        yield from wrapped(line)
    if libraries := _moved_releases(verdict):
        yield "  Find the release that did it:"
        good = " ".join(f"{library.name}=={library.base}" for library in libraries)
        ends = (
            f"--package {libraries[0].name} --good {libraries[0].base} --bad {libraries[0].new}"
            if len(libraries) == 1
            else f'--good "{good}"'
        )
        own = "".join(f" {shlex.quote(option)}" for option in search_options(options))
        yield f"    python -m pytest_ftcompare bisect {ends} --{own} '{nodeid}'"
    yield from commands(
        nodeid, options, can_accept=verdict.verdict != "invalid", is_new=verdict.verdict == "new"
    )


def _moved_releases(verdict: CaseVerdict) -> list[Difference]:
    """Return the libraries that differ from the baseline, if each is a release on both sides."""
    libraries = [change for change in verdict.changes if change.name in PACKAGES]
    versions = [text for change in libraries for text in (change.base, change.new)]
    return libraries if all(map(RELEASE.fullmatch, versions)) else []


def commands(nodeid: str, options: str, *, can_accept: bool, is_new: bool) -> Iterator[str]:
    """Return the commands that run a test again and that accept its result."""
    yield "  Run it again:"
    yield f"    pytest{options} '{nodeid}'"
    if not can_accept:
        return
    if is_new:
        yield "  Make its baseline:"
    else:
        yield "  If it is meant, accept it and review the diff in git:"
    yield f"    pytest{options} --update-baselines '{nodeid}'"


def _findings(verdict: CaseVerdict) -> Iterator[str]:
    yield f"{verdict.id}: {verdict.verdict}, {wording.meaning(verdict)}."
    for comparison in verdict.comparisons:
        yield f"  {wording.score_change(comparison, identical=verdict.identical)}"
    if not verdict.comparisons and (scores := wording.scores(verdict)):
        yield f"  {', '.join(scores)}"
    for cost in wording.changed_costs(verdict):
        yield f"  {wording.cost_change(cost)}"
    if verdict.first_divergence and verdict.verdict != "invalid":
        yield f"  Where it left its baseline: {verdict.first_divergence}."
    if verdict.divergences:
        for line in wording.divergence_lines(verdict, MAX_DIVERGENCES):
            yield f"  {line[0].upper()}{line[1:]}."
    for line in wording.allowance_lines(verdict):
        yield f"  {line[0].upper()}{line[1:]}."
    for note in verdict.notes:
        yield f"  Note: {note}."
    if verdict.changes:
        yield f"  Changed since the baseline: {'; '.join(map(str, verdict.changes))}."
    elif verdict.comparisons:
        yield "  Nothing changed in the environment since the baseline."
