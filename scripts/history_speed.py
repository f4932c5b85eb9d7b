"""Measure how long queries of a large history take. docs/history.md has the results.

`python -m scripts.history_speed [RUNS [CASES]]` builds a history in a temporary folder, and prints
its size and the best of three times of each query. The default is 10,000 runs of 200 cases with 16
metrics each (32 million points).
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

from pytest_ftcompare.report.history import append, check, earlier_runs
from pytest_ftcompare.report.history.cli import main as command
from pytest_ftcompare.report.history.database import reading, writing
from pytest_ftcompare.report.history.series import cases, metrics, series

RUNS, CASES = 10_000, 200
METRICS = {
    **dict.fromkeys(
        (
            "accuracy",
            "accuracy_ood",
            "loss",
            "loss_ood",
            "macro",
            "macro_ood",
            "operations",
            "flops",
        ),
        "",
    ),
    **dict.fromkeys(
        (
            f"{part} bytes"
            for part in ("activations", "gradients", "peak", "saved", "state", "weights")
        ),
        "B",
    ),
    **dict.fromkeys(("step", "inference"), "s"),
}
METHODS = 27
# Milliseconds from run to run.
NIGHT = 86_400_000
# Milliseconds since 1970 of the first run.
FIRST = 1_600_000_000_000


def build(path: Path, runs: int, count: int) -> None:
    """Write a history of nightly runs, table by table, which is much faster than run by run."""
    draws = Random(0)
    with writing(path) as connection:
        rows = ((FIRST + NIGHT * run, str(run)) for run in range(runs))
        connection.executemany(
            "INSERT INTO runs VALUES (?, ?, '2030-01-01T02:00:00+00:00', 1, 'gate', '', '', '', "
            "'cpu', '', 0, 0, '{}')",
            rows,
        )
        connection.executemany("INSERT INTO metrics (name, unit) VALUES (?, ?)", METRICS.items())
        for case in range(1, count + 1):
            names = f"case-{case}", f"method-{case % METHODS}"
            connection.execute(
                "INSERT INTO cases VALUES (?, 'few_shot', ?, 'cpu', ?, 'task', 'model', 16, '{}')",
                (case, *names),
            )
            results = ((case, FIRST + NIGHT * run) for run in range(runs))
            connection.executemany(
                "INSERT INTO results VALUES (?, ?, 'same', 0, 0, 8, 1, 1, 1, NULL)", results
            )
            connection.executemany(
                "INSERT INTO points VALUES (?, ?, ?, ?, 0.01)", _points(case, runs, draws)
            )


def _points(case: int, runs: int, draws: Random) -> Iterator[tuple[int, int, int, float]]:
    for number, unit in enumerate(METRICS.values(), start=1):
        for run in range(runs):
            yield (
                case,
                number,
                FIRST + NIGHT * run,
                1 + (0.01 * draws.random() if unit == "s" else 0.0),
            )


def document(count: int) -> dict[str, Any]:
    """Return a session's document of all cases, each with all metrics."""
    costs = [
        {"metric": name, "unit": unit, "new": 1.0, "outcome": "equivalent"}
        for name, unit in METRICS.items()
        if unit
    ]
    seed_results = [
        {"seed": 0, "metrics": {name: 1.0 for name, unit in METRICS.items() if not unit}}
    ]
    outcome = {
        "verdict": "same",
        "failed": False,
        "accepted": False,
        "seconds": 1.0,
        "parameters": None,
        "baseline": None,
    }
    identity = {
        "suite": "few_shot",
        "device": "cpu",
        "task": "task",
        "model": "model",
        "shots": 16,
        "options": {},
    }
    all_cases = [
        {
            "id": f"case-{number}",
            "method": f"method-{number % METHODS}",
            "seed_results": seed_results,
            "costs": costs,
            **identity,
            **outcome,
        }
        for number in range(1, count + 1)
    ]
    session = {
        "started": "2060-01-01T02:00:00+00:00",
        "seconds": 1.0,
        "version": "",
        "profile": "pocket",
        "command": "",
    }
    return {
        **session,
        "update": False,
        "failed": False,
        "environment": {},
        "cases": all_cases,
        "claims": [],
    }


def _timed(label: str, query: Callable[[], object], times: int = 3) -> None:
    best = min(_seconds(query) for _ in range(times))
    print(f"{label:60} {best:8.3f} s", flush=True)


def _seconds(query: Callable[[], object]) -> float:
    start = perf_counter()
    query()
    return perf_counter() - start


def _read_series(path: Path, name: str, metric: str, last: int | None) -> None:
    with reading(path) as connection:
        for case in cases(connection, name):
            series(connection, case, metrics(connection)[metric], last)


def _query_view(path: Path) -> None:
    with reading(path) as connection:
        connection.execute(
            'SELECT started, value FROM history WHERE "case" = ? AND metric = ?', ("case-7", "step")
        ).fetchall()


def _run_silently(arguments: Sequence[str]) -> None:
    with redirect_stdout(io.StringIO()):
        command(arguments)


def main(arguments: Sequence[str]) -> None:
    runs, count = (
        int(number) for number in (*arguments, *(str(RUNS), str(CASES))[len(arguments) :])
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        print(f"built in {_seconds(lambda: build(path, runs, count)):.0f} s")
        print(
            f"{runs} runs x {count} cases x {len(METRICS)} metrics: "
            f"{path.stat().st_size / 2**20:,.0f} MiB"
        )
        today = document(count)
        _timed(
            "one case's metric, last 100 runs",
            lambda: _read_series(path, "case-7", "accuracy", 100),
        )
        _timed(
            "one case's metric, all runs, constant",
            lambda: _read_series(path, "case-7", "accuracy", None),
        )
        _timed(
            "one case's metric, all runs, noisy",
            lambda: _read_series(path, "case-7", "step", None),
        )
        _timed("one case's metric, all runs, through the view", lambda: _query_view(path))
        _timed("all cases' metric, last 100 runs", lambda: _read_series(path, "*", "accuracy", 100))
        _timed(
            "all cases' time, last 100 runs, noisy", lambda: _read_series(path, "*", "step", 100)
        )
        _timed("check", lambda: check(path))
        _timed("append a run", lambda: append(path, today), times=1)
        _timed(
            "for_document, all cases and metrics, last 50 runs", lambda: earlier_runs(path, today)
        )
        _timed(
            "the command, one method", lambda: _run_silently([str(path), "--method", "method-3"])
        )


if __name__ == "__main__":
    main(sys.argv[1:])
