"""Make a session document's section on earlier runs, for `plugin/report_delivery.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_ftcompare.report.history.database import reading
from pytest_ftcompare.report.history.series import Series, cases, metrics, runs, series
from pytest_ftcompare.report.history.writer import storable_text


def earlier_runs(path: Path, document: Mapping[str, Any], last: int = 50) -> dict[str, Any]:
    """Return each metric of the document's cases over its `last` runs, by device.

    `runs` lists the runs, oldest first. `series` has suite/case -> metric -> indices into `runs`,
    values, the indices at which a new level begins, and the accepted ones. Raises `HistoryError`.
    """
    by_case: dict[str, list[Series]] = {}
    with reading(path) as connection:
        all_metrics = metrics(connection).values()
        recorded_cases = {(case.path, case.device): case for case in cases(connection)}
        for case in document["cases"]:
            name = f"{case['suite']}/{case['id']}"
            key = storable_text(name), storable_text(case["device"])
            if recorded := recorded_cases.get(key):
                by_case[name] = [
                    line
                    for metric in all_metrics
                    if (line := series(connection, recorded, metric, last))
                ]
        run_ids = {run_id for group in by_case.values() for line in group for run_id in line.runs}
        sessions = runs(connection, run_ids)
    index_of = {run_id: index for index, run_id in enumerate(sessions)}
    fields = ("started", "commit", "failed", "source")
    return {
        "runs": [{name: getattr(run, name) for name in fields} for run in sessions.values()],
        "series": {
            name: {line.metric.name: _data(line, index_of) for line in group}
            for name, group in by_case.items()
            if group
        },
    }


def _data(line: Series, index_of: Mapping[int, int]) -> dict[str, Any]:
    return {
        "runs": [index_of[run_id] for run_id in line.runs],
        "values": line.values,
        "changes": line.changes,
        "accepted": line.accepted_changes,
    }
