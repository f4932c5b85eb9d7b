"""Import PEFT's method_comparison results and stored session reports into a history.

The command `history import` calls `add`. A method_comparison file is one run of one experiment.
Files of one study, one stack (versions and commits of peft, transformers and torch, and the
accelerator) and one day (UTC) make one run here. A second file of an experiment starts another run.
Repeated imports add new files only.
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
from pytest_ftcompare.results.baseline_store import result_paths
from pytest_ftcompare.results.result import Result, ResultError

STACK = ("peft", "transformers", "torch", "device")


@dataclass(frozen=True)
class ImportCounts:
    """Results and sessions that an import added, those already there, and other files."""

    results: int
    sessions: int
    already_there: int
    other_files: int


def add(path: Path, folder: Path) -> ImportCounts:
    """Import one file, or all files of a folder at any depth. A broken file stops the import.

    Raises `HistoryError`, and then adds nothing.
    """
    if not folder.exists():
        raise HistoryError(
            f"expected a folder with results at {folder}, found nothing there: "
            "name an existing folder"
        )
    files = result_paths(folder) if folder.is_dir() else [folder]
    results, documents, others = [], [], 0
    for file in files:
        data = _json(file)
        try:
            if peft_files.is_peft_file(data):
                results.append(_check_date(peft_files.read(data, file.stem), file))
            elif isinstance(data, Mapping) and {"cases", "claims", "started"} <= data.keys():
                documents.append(document_reader.read(json.dumps(data)))
            else:
                others += 1
        except (ResultError, document_reader.DocumentError) as error:
            raise HistoryError(
                f"expected a result in {file}, but {error}: fix or remove it, then import again"
            ) from None
    if not results and not documents:
        raise HistoryError(
            f"expected results of PEFT's method_comparison or reports (*.json) at {folder}, "
            "found none: name another folder"
        )
    with writing(path) as connection:
        added = sum(_add_result(connection, result) for result in sorted(results, key=_created))
        sessions = sum(writer.add_document(connection, document) for document in documents)
    return ImportCounts(added, sessions, len(results) + len(documents) - added - sessions, others)


def _json(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise HistoryError(
            f"{file} cannot be read as JSON ({reason}): fix or remove it, then import again"
        ) from None


def _check_date(result: Result, file: Path) -> Result:
    if not peft_files.created(result):
        raise HistoryError(
            f"expected the time of the run in {file}, found none: "
            "fix or remove it, then import again"
        )
    _created(result)
    return result


def _created(result: Result) -> int:
    return writer.timestamp_ms(peft_files.created(result))


def _add_result(connection: sqlite3.Connection, result: Result) -> bool:
    """Add a result to the first run of its study, stack and day that lacks its experiment.

    Returns whether it was new.
    """
    case, created = _case(result), peft_files.created(result)
    case_id = writer.case_number(connection, case)
    if connection.execute(
        "SELECT 1 FROM results WHERE case_id = ? AND created = ?", (case_id, created)
    ).fetchone():
        return False
    for index in count():
        run_id = _run(connection, result, index)
        if not connection.execute(
            "SELECT 1 FROM results WHERE case_id = ? AND run_id = ?", (case_id, run_id)
        ).fetchone():
            writer.add_result(connection, run_id, case, created)
            break
    return True


def _run(connection: sqlite3.Connection, result: Result, index: int) -> int:
    """Return the id of a run of the result's study, stack and day, and add it if it is new."""
    environment = result.environment
    day = datetime.fromtimestamp(_created(result) / 1000, UTC).date().isoformat()
    key = [peft_files.SOURCE, result.suite, day, index, *(environment.get(name) for name in STACK)]
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
    """Return an imported result as a document's case, with the fields that a history stores."""
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
        "seed_results": [
            {"seed": seed_result.seed, "metrics": seed_result.metrics}
            for seed_result in result.seed_results
        ],
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
