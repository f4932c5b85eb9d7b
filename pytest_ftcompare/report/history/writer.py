"""Write a run's results to the history.

Each run is one transaction, so that concurrent processes lose nothing.
"""

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

# The `source` of runs that a session adds.
GATE_SOURCE = "gate"

Json = Mapping[str, Any]


def append(path: Path, document: Json) -> None:
    """Add a session's document as one run, unless it is already there.

    Raises `HistoryError` and leaves the file unchanged.
    """
    with writing(path) as connection:
        add_document(connection, document)


def add_document(connection: sqlite3.Connection, document: Json) -> bool:
    """Add a session's document within a transaction. Returns whether it was new."""
    # `bisect --from` adds its answer to the report of a run that may be stored already.
    content = {
        name: value for name, value in document.items() if name not in ("history", "bisections")
    }
    digest = sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    if find_run(connection, digest):
        return False
    run_id = add_run(connection, digest, GATE_SOURCE, document)
    for case in document["cases"]:
        add_result(connection, run_id, case)
    for claim in document["claims"]:
        _add_outcome(connection, run_id, claim)
    for kind, spent in document.get("spent", {}).items():
        for name, seconds in spent.items():
            row = {"run_id": run_id, "kind": kind, "name": name, "seconds": seconds}
            _insert(connection, "spent", row)
    return True


def find_run(connection: sqlite3.Connection, digest: str) -> int:
    """Return the id of a recorded run, else 0."""
    row = connection.execute("SELECT id FROM runs WHERE digest = ?", (digest,)).fetchone()
    return row[0] if row else 0


def add_run(connection: sqlite3.Connection, digest: str, source: str, document: Json) -> int:
    """Add a run without results. Its id is its start in milliseconds, or the next free number."""
    environment = document["environment"]
    run_id = timestamp_ms(document["started"])
    while connection.execute("SELECT 1 FROM runs WHERE id = ?", (run_id,)).fetchone():
        run_id += 1
    columns = {
        "id": run_id,
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
    return run_id


def timestamp_ms(started: str) -> int:
    """Convert ISO 8601 text, UTC by default, to milliseconds since 1970. Raises `HistoryError`."""
    try:
        start = datetime.fromisoformat(started)
    except (TypeError, ValueError):
        raise HistoryError(
            f"expected the time of a run as ISO 8601 (2026-01-31T02:00:00+00:00), got {started!r}"
        ) from None
    return round((start if start.tzinfo else start.replace(tzinfo=UTC)).timestamp() * 1000)


def add_result(
    connection: sqlite3.Connection, run_id: int, case: Json, created: str | None = None
) -> None:
    """Add a case's result to a run; `created` is an imported result's own time (ISO 8601)."""
    parameters = case["parameters"] or {}
    case_id = case_number(connection, case)
    result = {
        "case_id": case_id,
        "run_id": run_id,
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
        metric_id = _find_or_insert(connection, "metrics", {"name": name}, {"unit": unit})
        point = {"case_id": case_id, "metric_id": metric_id, "run_id": run_id}
        _insert(connection, "points", point | {"value": value, "sd": sd})


def case_number(connection: sqlite3.Connection, case: Json) -> int:
    """Return the id of a case on its device, and add the case if it is new."""
    columns = {name: case[name] for name in ("method", "task", "model", "shots")} | {
        "options": json.dumps(case["options"])
    }
    key = {"suite": case["suite"], "name": case["id"], "device": case["device"]}
    return _find_or_insert(connection, "cases", key, columns)


def _add_outcome(connection: sqlite3.Connection, run_id: int, claim: Json) -> None:
    key = {name: claim[name] for name in ("suite", "profile", "name")}
    claim_id = _find_or_insert(connection, "claims", key, {})
    estimate = claim["estimate"] or {}
    outcome = {name: claim[name] for name in ("verdict", "outcome", "failed", "accepted")}
    outcome |= {name: estimate.get(name) for name in ("value", "error", "n", "freedom", "unit")}
    _insert(connection, "outcomes", {"claim_id": claim_id, "run_id": run_id} | outcome)


def _find_or_insert(connection: sqlite3.Connection, table: str, key: Json, columns: Json) -> int:
    """Return the id of the row with this key, and insert it with these columns if it is new."""
    where = " AND ".join(f"{name} = ?" for name in key)
    values = tuple(map(storable_text, key.values()))
    row = connection.execute(f"SELECT id FROM {table} WHERE {where}", values).fetchone()
    if not row:
        return _insert(connection, table, {**key, **columns})
    return int(row[0])


def _insert(connection: sqlite3.Connection, table: str, row: Json) -> int:
    marks, values = ", ".join("?" * len(row)), tuple(map(storable_text, row.values()))
    cursor = connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", values)
    return cursor.lastrowid or 0


def storable_text(value: Any) -> Any:
    """Escape lone surrogates in text, because SQLite stores UTF-8. Other values are unchanged."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
