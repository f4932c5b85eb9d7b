"""Read a history: its cases, metrics and runs, and a metric of a case over runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pytest_ftcompare.report.history import change_points


@dataclass(frozen=True)
class RecordedSession:
    """A run; `failed` is None if its source does not state it."""

    started: str
    commit: str
    failed: bool | None
    source: str
    environment: dict[str, Any]


@dataclass(frozen=True)
class RecordedCase:
    """A case on a device; `case_id` is its id in the history."""

    case_id: int
    suite: str
    name: str
    device: str
    method: str

    @property
    def path(self) -> str:
        """Return suite/name, as in a folder of baselines."""
        return f"{self.suite}/{self.name}"


@dataclass(frozen=True)
class RecordedMetric:
    """A metric; `unit` is "s", "B", "J", or "" for a score or a count."""

    metric_id: int
    name: str
    unit: str


@dataclass(frozen=True)
class Series:
    """A metric of a case over runs, oldest first.

    `runs` are ids, `sds` are SDs between seeds. `changes` are the indices at which a new level
    begins; `accepted_changes` are those changes during whose level a run was accepted.
    """

    case: RecordedCase
    metric: RecordedMetric
    runs: list[int]
    values: list[float]
    sds: list[float | None]
    verdicts: list[str | None]
    changes: list[int]
    accepted_changes: list[int]


def cases(
    connection: sqlite3.Connection, pattern: str = "*", method: str = ""
) -> list[RecordedCase]:
    """Return cases in order of suite, task and method.

    `pattern` is a name, with or without suite, or a glob with `*` and `?`; `method` "" is any.
    """
    where, values = ("WHERE method = ?", (method,)) if method else ("", ())
    rows = connection.execute(
        f"SELECT id, suite, name, device, method FROM cases {where} "
        "ORDER BY suite, task, method, model, shots, name, device",
        values,
    )
    recorded = [RecordedCase(*row) for row in rows]
    return [
        case
        for case in recorded
        if any(pattern == name or fnmatchcase(name, pattern) for name in (case.name, case.path))
    ]


def metrics(connection: sqlite3.Connection) -> dict[str, RecordedMetric]:
    """Return the metrics by name, scores first."""
    return {
        row[1]: RecordedMetric(*row)
        for row in connection.execute("SELECT id, name, unit FROM metrics ORDER BY id")
    }


def series(
    connection: sqlite3.Connection,
    case: RecordedCase,
    metric: RecordedMetric,
    last: int | None = None,
) -> Series | None:
    """Return a metric of a case over its `last` runs (None: all), or None if it has no value."""
    rows = connection.execute(
        "SELECT run_id, value, sd, verdict, accepted "
        "FROM points JOIN results USING (case_id, run_id) "
        "WHERE case_id = ? AND metric_id = ? ORDER BY run_id DESC LIMIT ?",
        (case.case_id, metric.metric_id, -1 if last is None else last),
    ).fetchall()[::-1]
    if not rows:
        return None
    runs, values, sds, verdicts, accepted = (list(column) for column in zip(*rows, strict=True))
    flags = [bool(flag) for flag in accepted]
    changes = change_points.find_changes(values, flags)
    explained = change_points.accepted_changes(changes, flags)
    return Series(case, metric, runs, values, sds, verdicts, changes, explained)


def runs(connection: sqlite3.Connection, run_ids: Iterable[int]) -> dict[int, RecordedSession]:
    """Return these runs by id, oldest first."""
    sessions = {}
    for run_id in sorted(set(run_ids)):
        row = connection.execute(
            "SELECT started, commit_id, failed, source, environment FROM runs WHERE id = ?",
            (run_id,),
        ).fetchone()
        started, commit, failed, source, environment = row
        sessions[run_id] = RecordedSession(
            started,
            commit,
            None if failed is None else bool(failed),
            source,
            json.loads(environment),
        )
    return sessions
