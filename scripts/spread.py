"""How far timed metrics scatter when nothing changed, and whether workers disturb each other's timing.

`python -m scripts.spread docs/spread.json` on a quiet machine runs the timed cases of a suite ten times, in
turns without workers and with four, each run in processes of its own. Recorded are, for each piece of work, the SD of a
method's runs around their mean, the ratio of medians between the two ways, and the verdicts: every one that is not `same` is a
false alarm, if the baselines were made with these versions.
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
WAYS = ("-n0", "-n4")
RUNS = 5  # of each way, unless a second argument says


def run(way: str) -> list[dict[str, Any]]:
    """pytest-benchmark's entries of one run of the timed cases."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.json"
        command = [
            sys.executable,
            "-m",
            "pytest",
            SUITE,
            way,
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
    """SD of logarithms around each group's mean, pooled over groups of at least two."""
    squares, freedom = 0.0, 0
    for group in values:
        logs = [math.log(one) for one in group]
        squares += sum((one - fmean(logs)) ** 2 for one in logs)
        freedom += len(logs) - 1
    return round(math.sqrt(squares / freedom), 5) if freedom else 0.0


def summary(runs: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]) -> dict[str, Any]:
    """Ways -> runs -> entries as the record: spread, ratio of ways, verdicts."""
    by_unit: dict[str, dict[str, dict[tuple[str, str], list[float]]]] = {
        unit: {way: defaultdict(list) for way in runs} for unit in ("yardsticks", "seconds")
    }
    verdicts: Counter[str] = Counter()
    moved: Counter[str] = Counter()
    disturbed = 0
    for way, found in runs.items():
        for entries in found:
            for one in entries:
                key = (_method(one), str(one["group"]))
                by_unit["yardsticks"][way][key].append(one["extra_info"]["yardsticks"])
                by_unit["seconds"][way][key].append(one["stats"]["median"])
                disturbed += bool(one["extra_info"]["disturbed"])
            verdicts.update(
                {_method(one): str(one["extra_info"]["verdict"]) for one in entries}.values()
            )
            moved.update(
                {
                    f"{_method(one)}: {name}"
                    for one in entries
                    for name in one["extra_info"]["moved"]
                }
            )
    pieces = sorted({piece for way in runs for _, piece in by_unit["seconds"][way]})
    methods = sorted({method for way in runs for method, _ in by_unit["seconds"][way]})
    spread = {
        piece: {
            unit: scatter(
                [
                    values
                    for way in runs
                    for key, values in by_unit[unit][way].items()
                    if key[1] == piece
                ]
            )
            for unit in by_unit
        }
        for piece in pieces
    }

    def ratio(unit: str, key: tuple[str, str]) -> float:
        first, second = (median(by_unit[unit][way][key]) for way in WAYS)
        return round(second / first, 4)

    ratios = {
        method: {
            piece: {unit: ratio(unit, (method, piece)) for unit in by_unit}
            for piece in pieces
            if all(by_unit["seconds"][way][method, piece] for way in WAYS)
        }
        for method in methods
    }
    return {
        "runs": {way: len(found) for way, found in runs.items()},
        "spread, SD of logarithm": spread,
        "ratio of medians, -n4 to -n0": ratios,
        "verdicts": dict(sorted(verdicts.items())),
        "moved": dict(sorted(moved.items())),
        "entries in disturbed windows": disturbed,
    }


def main(file: Path, count: int) -> None:
    """Run, and write the record after each pair of runs, so that a run cut short leaves what it has."""
    runs: dict[str, list[list[dict[str, Any]]]] = {way: [] for way in WAYS}
    for number in range(1, count + 1):
        for way in WAYS:
            runs[way].append(run(way))
            print(f"run {number} of {count} with {way}", file=sys.stderr, flush=True)
        environment = runs["-n0"][0][0]["extra_info"]["environment"]
        record = {"date": date.today().isoformat(), "environment": environment, **summary(runs)}
        file.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else RUNS)
