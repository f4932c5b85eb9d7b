"""Files that others wrote, as a history: PEFT's published method_comparison results, and stored reports of sessions.

A file of method_comparison is one run of one experiment. Those of one study, one stack (versions and commits of peft,
transformers and torch, and the accelerator) and one day (UTC) make one run here; a second one of an experiment among them
begins another. So what is imported again, with more files beside it, adds the new ones only.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from pytest_ftcompare.report import document_reader
from pytest_ftcompare.report.history import writer
from pytest_ftcompare.report.history.database import HistoryError, writing
from pytest_ftcompare.results import peft_files
from pytest_ftcompare.results.baseline_store import results_in
from pytest_ftcompare.results.result import Result, ResultError

STACK = ("peft", "transformers", "torch", "device")


@dataclass(frozen=True)
class Added:
    """What an import did: results and sessions that were added, those of them that were there, files that are neither."""

    results: int
    sessions: int
    known: int
    others: int


def add(path: Path, folder: Path) -> Added:
    """Import all that a folder and those below it hold, or one file: all of it or, where a file is broken, nothing.

    Raises `HistoryError` with one sentence.
    """
    if not folder.exists():
        raise HistoryError(
            f"expected a folder with results at {folder}, found nothing there: name one that is there"
        )
    files = results_in(folder) if folder.is_dir() else [folder]
    results, documents, others = [], [], 0
    for file in files:
        data = _json(file)
        try:
            if peft_files.is_theirs(data):
                results.append(_dated(peft_files.read(data, file.stem), file))
            elif isinstance(data, Mapping) and {"cases", "claims", "started"} <= data.keys():
                documents.append(document_reader.read(json.dumps(data)))
            else:
                others += 1
        except (ResultError, document_reader.DocumentError) as error:
            raise HistoryError(
                f"expected a result in {file}, but {error}: mend or remove it, then import again"
            ) from None
    if not results and not documents:
        raise HistoryError(
            f"expected results of PEFT's method_comparison or reports (*.json) at {folder}, found none"
        )
    with writing(path) as connection:
        added = sum(_add(connection, one) for one in sorted(results, key=_when))
        sessions = sum(writer.add_document(connection, one) for one in documents)
    return Added(added, sessions, len(results) + len(documents) - added - sessions, others)


def _json(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise HistoryError(
            f"{file} cannot be read as JSON ({why}): mend or remove it, then import again"
        ) from None


def _dated(result: Result, file: Path) -> Result:
    if not peft_files.created(result):
        raise HistoryError(
            f"expected in {file} when it was made, found nothing of it: mend or remove it, then import again"
        )
    _when(result)
    return result


def _when(result: Result) -> int:
    return writer.moment(peft_files.created(result))


def _add(connection: sqlite3.Connection, result: Result) -> bool:
    """Add a result to the run of its study, stack and day that has none of its experiment; whether it was not there yet."""
    case, created = _case(result), peft_files.created(result)
    number = writer.case_number(connection, case)
    if connection.execute(
        "SELECT 1 FROM results WHERE case_id = ? AND created = ?", (number, created)
    ).fetchone():
        return False
    for nth in count():
        run = _run(connection, result, nth)
        if not connection.execute(
            "SELECT 1 FROM results WHERE case_id = ? AND run_id = ?", (number, run)
        ).fetchone():
            writer.add_result(connection, run, case, created)
            break
    return True


def _run(connection: sqlite3.Connection, result: Result, nth: int) -> int:
    """The id of the nth run of a result's study, stack and day, made if need be."""
    environment = result.environment
    day = datetime.fromtimestamp(_when(result) / 1000, UTC).date().isoformat()
    key = [peft_files.SOURCE, result.suite, day, nth, *(environment.get(name) for name in STACK)]
    digest = sha256(json.dumps(key).encode()).hexdigest()
    version, _, commit = str(environment.get("peft", "")).partition(" at ")
    return writer.find_run(connection, digest) or writer.add_run(
        connection,
        digest,
        peft_files.SOURCE,
        {
            "started": peft_files.created(result),
            "seconds": None,
            "version": "",
            "profile": result.suite,
            "cases": [_case(result)],
            "command": "",
            "update": False,
            "failed": None,
            "environment": environment | {"commit": commit or f"peft {version}"},
        },
    )


def _case(result: Result) -> dict[str, Any]:
    """An imported result as a document's case, as far as the history keeps one."""
    structure = result.signature["structure"]
    return {
        "id": result.id,
        "suite": result.suite,
        "method": result.identity["method"],
        "task": result.suite,
        "model": str(result.identity["model"] or ""),
        "shots": None,
        "options": {},
        "device": str(result.environment["device"]),
        "verdict": "invalid" if result.broken_invariants else None,
        "failed": None,
        "accepted": False,
        "seconds": None,
        "parameters": {
            "trainable": structure.get("trainable"),
            "total": structure.get("parameters"),
        },
        "seed_results": [{"seed": one.seed, "metrics": one.metrics} for one in result.seed_results],
        "baseline": None,
        "costs": list(_costs(result)),
    }


def _costs(result: Result) -> Iterable[dict[str, Any]]:
    for window in result.windows:
        for name, (seconds, _) in window.times.items():
            yield {"metric": name, "unit": "s", "new": seconds, "outcome": "new"}
        for name, value in window.readings.items():
            yield {
                "metric": name,
                "unit": "B" if "bytes" in name else "",
                "new": value,
                "outcome": "new",
            }
