"""Describe the changes of level in a series, for the terminal and for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from pytest_ftcompare.compare.environment_diff import differences
from pytest_ftcompare.report.history.series import RecordedSession, Series


@dataclass(frozen=True)
class LevelChange:
    """A new level of a series, which begins at `run`.

    `before` and `after` are the medians of the levels before and after the change.
    `environment_changes` lists what changed in the environment since the series' previous run.
    """

    series: Series
    run_id: int
    run: RecordedSession
    before: float
    after: float
    accepted: bool
    environment_changes: list[str]


def changes_of(series: Series, runs: Mapping[int, RecordedSession]) -> Iterator[LevelChange]:
    """Yield the changes of a series, the oldest first."""
    edges = [0, *series.changes, len(series.values)]
    for start, index, end in zip(edges, edges[1:], edges[2:], strict=False):
        run_id, previous_id = series.runs[index], series.runs[index - 1]
        yield LevelChange(
            series=series,
            run_id=run_id,
            run=runs[run_id],
            before=median(series.values[start:index]),
            after=median(series.values[index:end]),
            accepted=index in series.accepted_changes,
            environment_changes=_environment_changes(runs[previous_id], runs[run_id]),
        )


def _environment_changes(previous: RecordedSession, run: RecordedSession) -> list[str]:
    # A run of other cases may lack an entry, which is no change.
    return [
        str(difference)
        for difference in differences(previous.environment, run.environment)
        if difference.name != "commit" and "absent" not in (difference.base, difference.new)
    ]
