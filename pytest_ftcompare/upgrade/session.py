"""Run a session of pytest in an environment, and read its document.

`try_upgrade.py` and `gate_run.py` call it. Sessions leave the project's cache, history and
baselines as they are.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest_ftcompare
from pytest_ftcompare.gate.resume_key import PROJECT_SUFFIXES
from pytest_ftcompare.measure import host
from pytest_ftcompare.measure.library_versions import digest, package_files

# pytest's exit statuses of a session that ran: all passed, or some test failed.
RAN = (0, 1)
USAGE_ERRORS = (4, 5)  # pytest's: a wrong argument, and no test collected
# Options of pytest that belong to the command, or would leave cases out.
RESERVED = (
    *("--update-baselines", "--ftcompare-baselines", "--ftcompare-reference"),
    *("--ftcompare-seeds", "--ftcompare-history", "--ftcompare-resume", "--ftcompare-window"),
    *("--lf", "--last-failed", "--exitfirst", "--maxfail", "--stepwise", "--sw", "--benchmark-"),
)
# Suffixes of the files that a project's cases may read, besides its hub folder.
DATA_SUFFIXES = PROJECT_SUFFIXES | {".tsv", ".parquet", ".arrow", ".gz"}


class TryError(RuntimeError):
    """Two environments cannot be compared; the message says why in one sentence."""


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise `TryError` for an argument of pytest that the command itself gives."""
    for argument in arguments:
        if argument == "-x" or argument.startswith(RESERVED):
            raise TryError(
                f"expected arguments that choose cases, such as suites -k lora, got {argument}: "
                "leave it out, the command decides it"
            )


def run_session(
    python: Path, arguments: Sequence[str], folder: Path, name: str, *, log: bool = False
) -> tuple[int, dict[str, Any]]:
    """Run pytest in the working folder; return its status and its document, {} without one.

    `folder` keeps the session's cache and report under `name`. With `log`, its output goes to a
    file there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / f"{name}.json"
    report.unlink(missing_ok=True)
    own = ["-o", f"cache_dir={folder / f'{name}-cache'}", "-o", "ftcompare_history="]
    command = [str(python), "-m", "pytest", *arguments, *own, f"--ftcompare-report={report}"]
    if log:
        with (folder / f"{name}.log").open("w", encoding="utf-8") as output:
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT)
    else:
        done = subprocess.run(command)
    document: dict[str, Any] = {}
    if done.returncode in RAN and report.is_file():
        document = json.loads(report.read_text(encoding="utf-8"))
    return done.returncode, document


def results_key(*parts: str) -> str:
    """Return a digest of what results depend on: these parts, code, project and processor."""
    content = [
        digest(package_files(Path(pytest_ftcompare.__file__).parent)),
        digest(package_files(Path.cwd(), DATA_SUFFIXES)),
        host.processor(),
        *parts,
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
