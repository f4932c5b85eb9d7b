"""A change of level with what one asks of it: when, at which commit, from what to what, and what else changed then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from pytest_ftcompare.compare.environment_diff import differences
from pytest_ftcompare.report.history.series import RecordedSession, Series


@dataclass(frozen=True)
class LevelChange:
    """A new level of a series, from its run on: the medians of the levels before and after.

    `beside` has what differs between the environments of that run and the one before it in the series.
    """

    series: Series
    run_id: int
    run: RecordedSession
    before: float
    after: float
    accepted: bool
    beside: list[str]


def changes_of(series: Series, runs: Mapping[int, RecordedSession]) -> Iterator[LevelChange]:
    """The changes of a series, the oldest first."""
    edges = [0, *series.changes, len(series.values)]
    for start, index, end in zip(edges, edges[1:], edges[2:], strict=False):
        number, earlier = series.runs[index], series.runs[index - 1]
        yield LevelChange(
            series=series,
            run_id=number,
            run=runs[number],
            before=median(series.values[start:index]),
            after=median(series.values[index:end]),
            accepted=index in series.explained,
            beside=_beside(runs[earlier], runs[number]),
        )


def _beside(earlier: RecordedSession, run: RecordedSession) -> list[str]:
    """What both runs say, in different words; a run of other cases may say more or less."""
    found = differences(earlier.environment, run.environment)
    return [
        str(one) for one in found if one.name != "commit" and "absent" not in (one.base, one.new)
    ]
