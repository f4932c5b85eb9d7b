"""Measure the noise of timed metrics, and whether workers disturb each other's timing.

`python -m scripts.spread docs/spread.json`, on a quiet machine, runs the timed cases of a suite ten
times, alternately without workers and with four, each time in its own processes. For each piece of
work it records the SD of a method's runs around their mean and the ratio of medians with workers to
without. It also records verdicts. A verdict other than `same` is a false alarm, if the baselines
were made with the same versions.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import fmean, median
from typing import Any

SUITE = "suites/test_peft_methods.py"
WORKERS = ("-n0", "-n4")
RUNS = 5  # with each option, unless a second argument gives another number


def run(workers: str) -> list[dict[str, Any]]:
    """Run the timed cases once, and return pytest-benchmark's entries."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.json"
        command = [
            sys.executable,
            "-m",
            "pytest",
            SUITE,
            workers,
            "--benchmark-only",
            f"--benchmark-json={file}",
            "-q",
        ]
        subprocess.run(
            command,
            stdout=subprocess.DEVNULL,
            check=False,
            env=os.environ | {"PYTHONHASHSEED": "random"},
        )
        entries: list[dict[str, Any]] = json.loads(file.read_text())["benchmarks"]
    return entries


def _method(entry: Mapping[str, Any]) -> str:
    return str(entry["params"]["gate"]).split("-", 1)[0]


def scatter(values: Sequence[Sequence[float]]) -> float:
    """Return the SD of logarithms around each group's mean, pooled over groups of two or more."""
    squares, freedom = 0.0, 0
    for group in values:
        logs = [math.log(value) for value in group]
        squares += sum((log - fmean(logs)) ** 2 for log in logs)
        freedom += len(logs) - 1
    return round(math.sqrt(squares / freedom), 5) if freedom else 0.0


def summary(runs: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]) -> dict[str, Any]:
    """Summarise entries (option -> runs -> entries) as noise, ratios of medians and verdicts."""
    by_unit: dict[str, dict[str, dict[tuple[str, str], list[float]]]] = {
        unit: {workers: defaultdict(list) for workers in runs} for unit in ("yardsticks", "seconds")
    }
    verdicts: Counter[str] = Counter()
    moved: Counter[str] = Counter()
    disturbed = 0
    for workers, entries_of_runs in runs.items():
        for entries in entries_of_runs:
            for entry in entries:
                key = (_method(entry), str(entry["group"]))
                by_unit["yardsticks"][workers][key].append(entry["extra_info"]["yardsticks"])
                by_unit["seconds"][workers][key].append(entry["stats"]["median"])
                disturbed += bool(entry["extra_info"]["disturbed"])
            verdicts.update(
                {_method(entry): str(entry["extra_info"]["verdict"]) for entry in entries}.values()
            )
            moved.update(
                {
                    f"{_method(entry)}: {name}"
                    for entry in entries
                    for name in entry["extra_info"]["moved"]
                }
            )
    pieces = sorted({piece for workers in runs for _, piece in by_unit["seconds"][workers]})
    methods = sorted({method for workers in runs for method, _ in by_unit["seconds"][workers]})
    spread = {
        piece: {
            unit: scatter(
                [
                    values
                    for workers in runs
                    for key, values in by_unit[unit][workers].items()
                    if key[1] == piece
                ]
            )
            for unit in by_unit
        }
        for piece in pieces
    }

    def ratio(unit: str, key: tuple[str, str]) -> float:
        first, second = (median(by_unit[unit][workers][key]) for workers in WORKERS)
        return round(second / first, 4)

    ratios = {
        method: {
            piece: {unit: ratio(unit, (method, piece)) for unit in by_unit}
            for piece in pieces
            if all(by_unit["seconds"][workers][method, piece] for workers in WORKERS)
        }
        for method in methods
    }
    return {
        "runs": {workers: len(entries) for workers, entries in runs.items()},
        "spread, SD of logarithm": spread,
        "ratio of medians, -n4 to -n0": ratios,
        "verdicts": dict(sorted(verdicts.items())),
        "moved": dict(sorted(moved.items())),
        "entries in disturbed windows": disturbed,
    }


def main(file: Path, count: int) -> None:
    """Run, and write the record after each pair of runs, so that an interruption loses little."""
    runs: dict[str, list[list[dict[str, Any]]]] = {workers: [] for workers in WORKERS}
    for number in range(1, count + 1):
        for workers in WORKERS:
            runs[workers].append(run(workers))
            print(f"run {number} of {count} with {workers}", file=sys.stderr, flush=True)
        environment = runs["-n0"][0][0]["extra_info"]["environment"]
        record = {"date": date.today().isoformat(), "environment": environment, **summary(runs)}
        file.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else RUNS)
