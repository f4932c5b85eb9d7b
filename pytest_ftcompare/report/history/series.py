"""What a history knows, read: its cases, and a metric of a case over runs with the changes of its level."""

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
    """One run; `failed` is None where its source does not say."""

    started: str
    commit: str
    failed: bool | None
    source: str
    environment: dict[str, Any]


@dataclass(frozen=True)
class RecordedCase:
    """A case on a device, by its number in the history."""

    number: int
    suite: str
    name: str
    device: str
    method: str

    @property
    def path(self) -> str:
        """Suite and name, as in a folder of baselines."""
        return f"{self.suite}/{self.name}"


@dataclass(frozen=True)
class RecordedMetric:
    """A metric by its number in the history; `unit` is "s", "B", "J" or "" (a score or a count)."""

    number: int
    name: str
    unit: str


@dataclass(frozen=True)
class Series:
    """A metric of a case over runs, oldest first: ids of runs, values, SDs between seeds, verdicts, what was accepted.

    `changes` are the indices at which a new level begins, `explained` those of them whose level was accepted.
    """

    case: RecordedCase
    metric: RecordedMetric
    runs: list[int]
    values: list[float]
    sds: list[float | None]
    verdicts: list[str | None]
    changes: list[int]
    explained: list[int]


def cases(
    connection: sqlite3.Connection, pattern: str = "*", method: str = ""
) -> list[RecordedCase]:
    """The cases whose name, with or without its suite, is or matches a pattern (`*`, `?`), by suite, task and method."""
    where, values = ("WHERE method = ?", (method,)) if method else ("", ())
    rows = connection.execute(
        f"SELECT id, suite, name, device, method FROM cases {where} ORDER BY suite, task, method, model, shots, name, device",
        values,
    )
    found = [RecordedCase(*row) for row in rows]
    return [
        one
        for one in found
        if any(pattern == name or fnmatchcase(name, pattern) for name in (one.name, one.path))
    ]


def metrics(connection: sqlite3.Connection) -> dict[str, RecordedMetric]:
    """The metrics by name, those of scores first."""
    return {
        one[1]: RecordedMetric(*one)
        for one in connection.execute("SELECT id, name, unit FROM metrics ORDER BY id")
    }


def series(
    connection: sqlite3.Connection,
    case: RecordedCase,
    metric: RecordedMetric,
    last: int | None = None,
) -> Series | None:
    """A metric of a case over its `last` runs, or all; None where it has none."""
    rows = connection.execute(
        "SELECT run_id, value, sd, verdict, accepted FROM points JOIN results USING (case_id, run_id) "
        "WHERE case_id = ? AND metric_id = ? ORDER BY run_id DESC LIMIT ?",
        (case.number, metric.number, -1 if last is None else last),
    ).fetchall()[::-1]
    if not rows:
        return None
    runs, values, sds, verdicts, accepted = (list(column) for column in zip(*rows, strict=True))
    flags = [bool(one) for one in accepted]
    found = change_points.find(values, flags)
    return Series(
        case, metric, runs, values, sds, verdicts, found, change_points.explained(found, flags)
    )


def runs(connection: sqlite3.Connection, wanted: Iterable[int]) -> dict[int, RecordedSession]:
    """Runs by id, oldest first."""
    found = {}
    for number in sorted(set(wanted)):
        row = connection.execute(
            "SELECT started, commit_id, failed, source, environment FROM runs WHERE id = ?",
            (number,),
        ).fetchone()
        started, commit, failed, source, environment = row
        found[number] = RecordedSession(
            started,
            commit,
            None if failed is None else bool(failed),
            source,
            json.loads(environment),
        )
    return found
