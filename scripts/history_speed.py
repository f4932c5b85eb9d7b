"""How long a history of many runs takes to ask: it is built in a folder of its own, then each question is asked three times.

`python -m scripts.history_speed [RUNS [CASES]]`, by default 10,000 runs of 200 cases with 16 metrics each
(32 million points), prints its size and the best time of each question. docs/history.md has the figures.
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
            f"{what} bytes"
            for what in ("activations", "gradients", "peak", "saved", "state", "weights")
        ),
        "B",
    ),
    **dict.fromkeys(("step", "inference"), "s"),
}
METHODS = 27
NIGHT = 86_400_000  # milliseconds
FIRST = 1_600_000_000_000


def build(path: Path, runs: int, count: int) -> None:
    """A history as nightly runs leave it, written in the order of its tables: much faster than run by run."""
    draws = Random(0)
    with writing(path) as connection:
        rows = ((FIRST + NIGHT * run, str(run)) for run in range(runs))
        connection.executemany(
            "INSERT INTO runs VALUES (?, ?, '2030-01-01T02:00:00+00:00', 1, 'gate', '', '', '', 'cpu', '', 0, 0, '{}')",
            rows,
        )
        connection.executemany("INSERT INTO metrics (name, unit) VALUES (?, ?)", METRICS.items())
        for case in range(1, count + 1):
            about = f"case-{case}", f"method-{case % METHODS}"
            connection.execute(
                "INSERT INTO cases VALUES (?, 'few_shot', ?, 'cpu', ?, 'task', 'model', 16, '{}')",
                (case, *about),
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
    """A session of all cases, each with all metrics."""
    costs = [
        {"metric": name, "unit": unit, "new": 1.0, "outcome": "equivalent"}
        for name, unit in METRICS.items()
        if unit
    ]
    samples = [{"seed": 0, "metrics": {name: 1.0 for name, unit in METRICS.items() if not unit}}]
    told = {
        "verdict": "same",
        "failed": False,
        "accepted": False,
        "seconds": 1.0,
        "parameters": None,
        "baseline": None,
    }
    about = {
        "suite": "few_shot",
        "device": "cpu",
        "task": "task",
        "model": "model",
        "shots": 16,
        "options": {},
    }
    all_of_them = [
        {
            "id": f"case-{one}",
            "method": f"method-{one % METHODS}",
            "seed_results": samples,
            "costs": costs,
            **about,
            **told,
        }
        for one in range(1, count + 1)
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
        "cases": all_of_them,
        "claims": [],
    }


def _timed(what: str, work: Callable[[], object], times: int = 3) -> None:
    best = min(_seconds(work) for _ in range(times))
    print(f"{what:60} {best:8.3f} s", flush=True)


def _seconds(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def _one(path: Path, name: str, metric: str, last: int | None) -> None:
    with reading(path) as connection:
        for case in cases(connection, name):
            series(connection, case, metrics(connection)[metric], last)


def _raw(path: Path) -> None:
    with reading(path) as connection:
        connection.execute(
            'SELECT started, value FROM history WHERE "case" = ? AND metric = ?', ("case-7", "step")
        ).fetchall()


def _silently(words: Sequence[str]) -> None:
    with redirect_stdout(io.StringIO()):
        command(words)


def main(arguments: Sequence[str]) -> None:
    runs, count = (int(one) for one in (*arguments, *(str(RUNS), str(CASES))[len(arguments) :]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        print(f"built in {_seconds(lambda: build(path, runs, count)):.0f} s")
        print(
            f"{runs} runs x {count} cases x {len(METRICS)} metrics: {path.stat().st_size / 2**20:,.0f} MiB"
        )
        today = document(count)
        _timed("one case's metric, last 100 runs", lambda: _one(path, "case-7", "accuracy", 100))
        _timed(
            "one case's metric, all runs, standing still",
            lambda: _one(path, "case-7", "accuracy", None),
        )
        _timed(
            "one case's metric, all runs, noisy: its levels, too",
            lambda: _one(path, "case-7", "step", None),
        )
        _timed("one case's metric, all runs, through the view", lambda: _raw(path))
        _timed("all cases' metric, last 100 runs", lambda: _one(path, "*", "accuracy", 100))
        _timed("all cases' time, last 100 runs, noisy", lambda: _one(path, "*", "step", 100))
        _timed("check", lambda: check(path))
        _timed("append a run", lambda: append(path, today), times=1)
        _timed(
            "for_document, all cases and metrics, last 50 runs", lambda: earlier_runs(path, today)
        )
        _timed("the command, one method", lambda: _silently([str(path), "--method", "method-3"]))


if __name__ == "__main__":
    main(sys.argv[1:])
