"""What a session's document, and so its report, says of earlier runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_ftcompare.report.history.database import reading
from pytest_ftcompare.report.history.series import Series, cases, metrics, runs, series
from pytest_ftcompare.report.history.writer import storable


def for_document(path: Path, document: Mapping[str, Any], last: int = 50) -> dict[str, Any]:
    """What the history knows of a document's cases, on their devices: each metric over its `last` runs.

    `runs` has the runs that any of them is from, oldest first; `series` has suite/case -> metric -> indices into `runs`,
    values, and the indices into those at which a new level begins, all of them and the accepted ones. Raises `HistoryError`.
    """
    found: dict[str, list[Series]] = {}
    with reading(path) as connection:
        known = metrics(connection).values()
        here = {(one.path, one.device): one for one in cases(connection)}
        for case in document["cases"]:
            name = f"{case['suite']}/{case['id']}"
            if one := here.get((storable(name), storable(case["device"]))):
                found[name] = [
                    each for metric in known if (each := series(connection, one, metric, last))
                ]
        told = runs(
            connection,
            {number for group in found.values() for each in group for number in each.runs},
        )
    place = {number: index for index, number in enumerate(told)}
    fields = ("started", "commit", "failed", "source")
    return {
        "runs": [{name: getattr(one, name) for name in fields} for one in told.values()],
        "series": {
            name: {each.metric.name: _data(each, place) for each in group}
            for name, group in found.items()
            if group
        },
    }


def _data(one: Series, place: Mapping[int, int]) -> dict[str, Any]:
    numbers = [place[number] for number in one.runs]
    return {
        "runs": numbers,
        "values": one.values,
        "changes": one.changes,
        "accepted": one.explained,
    }
