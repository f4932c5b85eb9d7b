"""A run's results into the history: one transaction for each run, so that several processes lose nothing of each other."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from pytest_ftcompare.report.history.database import HistoryError, writing
from pytest_ftcompare.report.history.metric_values import points

GATE = "gate"  # the source of a session's runs

Json = Mapping[str, Any]


def append(path: Path, document: Json) -> None:
    """Add a session's document as one run; one that is there already is not added again.

    Raises `HistoryError` with one sentence; the file is then as it was.
    """
    with writing(path) as connection:
        add_document(connection, document)


def add_document(connection: sqlite3.Connection, document: Json) -> bool:
    """Add a session's document within a transaction; whether it was not there yet."""
    content = {name: value for name, value in document.items() if name != "history"}
    digest = sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    if find_run(connection, digest):
        return False
    run = add_run(connection, digest, GATE, document)
    for case in document["cases"]:
        add_result(connection, run, case)
    for claim in document["claims"]:
        _add_outcome(connection, run, claim)
    for kind, spent in document.get("spent", {}).items():
        for name, seconds in spent.items():
            _insert(
                connection, "spent", {"run_id": run, "kind": kind, "name": name, "seconds": seconds}
            )
    return True


def find_run(connection: sqlite3.Connection, digest: str) -> int:
    """The id of a run that is there, else 0."""
    found = connection.execute("SELECT id FROM runs WHERE digest = ?", (digest,)).fetchone()
    return found[0] if found else 0


def add_run(connection: sqlite3.Connection, digest: str, source: str, document: Json) -> int:
    """Add a run without results, with the moment it began as its id, or the next free one."""
    environment = document["environment"]
    run = moment(document["started"])
    while connection.execute("SELECT 1 FROM runs WHERE id = ?", (run,)).fetchone():
        run += 1
    columns = {
        "id": run,
        "digest": digest,
        "started": document["started"],
        "seconds": document["seconds"],
        "source": source,
        "version": document["version"],
        "commit_id": str(environment.get("commit", "")),
        "profile": document["profile"],
        "devices": ", ".join(sorted({case["device"] for case in document["cases"]})),
        "command": document["command"],
        "updated": document["update"],
        "failed": document["failed"],
        "environment": json.dumps(environment, sort_keys=True),
    }
    _insert(connection, "runs", columns)
    return run


def moment(started: str) -> int:
    """ISO 8601 text as milliseconds since 1970; without a time zone it is UTC. Raises `HistoryError`."""
    try:
        when = datetime.fromisoformat(started)
    except (TypeError, ValueError):
        raise HistoryError(
            f"expected the time of a run as ISO 8601 (2026-01-31T02:00:00+00:00), got {started!r}"
        ) from None
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def add_result(
    connection: sqlite3.Connection, run: int, case: Json, created: str | None = None
) -> None:
    """Add what a case gave in a run; `created` is when it was made, where that is not when the run began."""
    parameters = case["parameters"] or {}
    number = case_number(connection, case)
    result = {
        "case_id": number,
        "run_id": run,
        "verdict": case["verdict"],
        "failed": case["failed"],
        "accepted": case["accepted"],
        "seeds": len(case["seed_results"]),
        "seconds": case["seconds"],
        "trainable": parameters.get("trainable"),
        "parameters": parameters.get("total"),
        "created": created,
    }
    _insert(connection, "results", result)
    for name, unit, value, sd in points(case):
        metric = _number(connection, "metrics", {"name": name}, {"unit": unit})
        _insert(
            connection,
            "points",
            {"case_id": number, "metric_id": metric, "run_id": run, "value": value, "sd": sd},
        )


def case_number(connection: sqlite3.Connection, case: Json) -> int:
    """The id of a case on its device, new if need be."""
    about = {name: case[name] for name in ("method", "task", "model", "shots")} | {
        "options": json.dumps(case["options"])
    }
    return _number(
        connection,
        "cases",
        {"suite": case["suite"], "name": case["id"], "device": case["device"]},
        about,
    )


def _add_outcome(connection: sqlite3.Connection, run: int, claim: Json) -> None:
    number = _number(
        connection, "claims", {name: claim[name] for name in ("suite", "profile", "name")}, {}
    )
    estimate = claim["estimate"] or {}
    outcome = {name: claim[name] for name in ("verdict", "outcome", "failed", "accepted")}
    outcome |= {name: estimate.get(name) for name in ("value", "error", "n", "freedom", "unit")}
    _insert(connection, "outcomes", {"claim_id": number, "run_id": run} | outcome)


def _number(connection: sqlite3.Connection, table: str, key: Json, about: Json) -> int:
    """The id of a row by its key, added if need be with what there is to say about it."""
    where = " AND ".join(f"{name} = ?" for name in key)
    values = tuple(map(storable, key.values()))
    found = connection.execute(f"SELECT id FROM {table} WHERE {where}", values).fetchone()
    if not found:
        return _insert(connection, table, {**key, **about})
    return int(found[0])


def _insert(connection: sqlite3.Connection, table: str, row: Json) -> int:
    marks, values = ", ".join("?" * len(row)), tuple(map(storable, row.values()))
    done = connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", values)
    return done.lastrowid or 0


def storable(value: Any) -> Any:
    """The value with half characters, as of an argument in another encoding, written out: SQLite's text is UTF-8."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
