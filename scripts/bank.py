"""Record more seeds of every case than a baseline has, for `scripts/replay.py`.

`python -m scripts.bank FOLDER [--seeds=A-B] [--stream=N] [pytest's arguments]` trains seeds of
every case and writes FOLDER/<suite>/<case>.json, a result like a baseline. Another stream keeps a
seed's rows and draws initialisation, order and dropout anew, like a library that draws its random
numbers differently. Existing files are kept, so an interrupted run continues where it stopped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_ftcompare.compare.verdict import without_baseline
from pytest_ftcompare.gate.run_case import CaseRun
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.gate.torch_case import make_candidate, make_config
from pytest_ftcompare.plugin import gate_fixture
from pytest_ftcompare.results.case import Case

# Environment variable with folder, first seed, end and stream, from the command to the workers.
PLAN_VARIABLE = "FTCOMPARE_BANK"


def pytest_configure(config: pytest.Config) -> None:
    """Make pytest call `record` instead of the gate (this module is its plugin)."""
    setattr(gate_fixture, "run_case", record)  # noqa: B010 (mypy knows it as an import)


def record(case: Case, settings: Settings, run_context: RunContext, *_: object) -> CaseRun:
    """Train a case's seeds and write its file, or skip the test if the file exists."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from pytest_ftcompare.training.library_logging import quiet
    from pytest_ftcompare.training.prepare import prepare
    from pytest_ftcompare.training.run_seed import run_seed

    quiet()
    folder, first, end, stream = os.environ[PLAN_VARIABLE].split(":")
    file = Path(folder) / case.suite / f"{case.id}.json"
    if file.exists():
        pytest.skip(f"{file} exists")
    prepared = prepare(case, make_config(settings))
    result = make_candidate(prepared)
    for seed in range(int(first), int(end)):
        result.seed_results.append(
            run_seed(prepared, seed, run_context.progress(f"seed {seed}"), int(stream))
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    # Renamed at the end, so that an interrupted run leaves no partial file.
    partial = file.with_suffix(f".{os.getpid()}")
    partial.write_text(
        replace(result, environment=result.environment | {"stream": int(stream)}).to_json(),
        encoding="utf-8",
    )
    partial.replace(file)
    return CaseRun(without_baseline(result), result, "cpu")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bank", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--seeds",
        default="0-30",
        metavar="FIRST-END",
        help="first seed and end (excluded); default: %(default)s",
    )
    parser.add_argument(
        "--stream",
        type=int,
        default=0,
        help="random stream of everything but the rows; default: %(default)s",
    )
    options, pytest_arguments = parser.parse_known_args()
    folder = str(options.folder.resolve())
    plan = ":".join([folder, *options.seeds.split("-"), str(options.stream)])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "scripts.bank",
        "--benchmark-disable",
        *(pytest_arguments or ["suites/"]),
    ]
    return subprocess.run(command, env=os.environ | {PLAN_VARIABLE: plan}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
