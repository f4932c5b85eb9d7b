"""The last two pieces: pytest sessions that store the pocket baselines, and try real models.

A session that is interrupted leaves its results in pytest's cache, and the next call resumes it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import distributions
from pathlib import Path

from pytest_ftcompare.measure.environment import device_name
from scripts.gpu.piece import OutOfTime, Piece, Run, Skipped, Work
from scripts.gpu.record import Values
from scripts.gpu.scope import HUB_VARIABLE
from scripts.gpu.table import Table

# Seconds that an interrupted session gets to end; chosen. Raising it waits longer for one that
# hangs.
END_SECONDS = 40.0
# As `pip freeze` leaves out: this project and the installers.
NOT_LISTED = ("pytest-ftcompare", "pip", "setuptools", "wheel")
# Metrics that are recorded of a case's costs.
COSTS = ("step", "evaluation", "allocated bytes, training", "joules per 1000 examples")


def _session(run: Run, *arguments: str) -> Values:
    """Run pytest until it ends, or interrupt it when the piece's time is up; return its document.

    An interrupted session raises `OutOfTime`, and one without results `RuntimeError`.
    """
    with tempfile.TemporaryDirectory() as name:
        report, output = Path(name) / "report.json", Path(name) / "output"
        command = [sys.executable, "-m", "pytest", *arguments, "--ftcompare-device=cuda"]
        with output.open("wb") as screen:
            process = subprocess.Popen(
                [*command, f"--ftcompare-report={report}"],
                cwd=run.scope.root,
                stdout=screen,
                stderr=subprocess.STDOUT,
            )
            try:
                process.wait(max(0.0, run.deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise OutOfTime from None
            finally:
                _end(process)
        document = dict(json.loads(report.read_text())) if report.is_file() else {}
        if not document.get("cases"):
            last_line = output.read_text(errors="replace").strip().rpartition("\n")[2]
            raise RuntimeError(
                f"expected pytest to run cases, it ran none (status {process.returncode}): "
                f"{last_line}"
            )
        return document


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a session that still runs: interrupt it, so that it can be resumed, or else kill it."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _pocket_units(run: Run) -> Mapping[str, Work]:
    return {suite: partial(_store, run, suite) for suite in run.scope.suites} | {
        "constraints.txt": partial(_freeze, run)
    }


def _store(run: Run, suite: str) -> Values:
    """Store the baselines of a suite's cases that have none on this GPU."""
    document = _session(
        run,
        f"suites/test_{suite}.py",
        "--update-baselines-new-only",
        "--ftcompare-resume",
        *run.scope.suite_options,
    )
    return {"cases": len(document["cases"]), "verdicts": document["counts"]}


def _freeze(run: Run) -> Values:
    """Write the versions of all packages beside the baselines."""
    listed = sorted(
        f"{package.name}=={package.version}"
        for package in distributions()
        if package.name not in NOT_LISTED
    )
    folder = run.scope.root / "baselines" / device_name(run.scope.device)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "constraints.txt").write_text("\n".join([*listed, ""]), encoding="utf-8")
    return {"packages": len(listed)}


def _pocket_tables(units: Mapping[str, Values]) -> Sequence[Table]:
    rows = [
        (suite, str(unit["cases"]), _words(unit["verdicts"]))
        for suite, unit in units.items()
        if "cases" in unit
    ]
    columns = ("suite", "cases", "verdicts")
    return [Table("Suites with baselines of this GPU", columns, rows)] if rows else []


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)


def _real_units(run: Run) -> Mapping[str, Work]:
    if run.scope.real_hub is None:
        raise Skipped(f"expected a hub folder with real models in {HUB_VARIABLE}, it is not set")
    names = {case.rpartition("[")[2].rstrip("]"): case for case in run.scope.real_cases}
    return {name: partial(_try, run, case) for name, case in names.items()}


def _try(run: Run, case: str) -> Values:
    """Train one seed of a case and take a window; there is no baseline."""
    with tempfile.TemporaryDirectory() as baselines:
        document = _session(
            run,
            case,
            f"--ftcompare-hub={run.scope.real_hub}",
            f"--ftcompare-baselines={baselines}",
            *run.scope.real_options,
        )
    (result,) = document["cases"]
    costs = {cost["metric"]: cost["new"] for cost in result["costs"] if cost["metric"] in COSTS}
    return {"verdict": result["verdict"], "scores": result["scores"], "costs": costs}


def _real_tables(units: Mapping[str, Values]) -> Sequence[Table]:
    rows = [
        (name, *(f"{value:.4g}" if value is not None else "" for value in values))
        for name, unit in units.items()
        if (values := [unit["scores"].get("accuracy"), *map(unit["costs"].get, COSTS)])
    ]
    return [Table("Real models", ("case", "accuracy", *COSTS), rows)] if rows else []


POCKET = Piece("pocket", "the pocket suites' baselines of this GPU", _pocket_units, _pocket_tables)
REAL = Piece("real", "real models from a hub folder", _real_units, _real_tables)
