"""The bank: more seeds of every case than a baseline has, recorded to replay sessions from.

`python -m scripts.bank FOLDER [--seeds=A-B] [--stream=N] [pytest's arguments]` trains the seeds of every case
of the suites and writes FOLDER/<suite>/<case>.json, results like baselines. Another stream keeps a seed's rows and draws
initialisation, order and dropout anew, as a library does that draws its random numbers otherwise. Cases that are there already
are left alone: a run that was cut short goes on where it stopped.
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

PLAN = "FTCOMPARE_BANK"  # folder, first seed, end, stream: from the command to the workers' plugin


def pytest_configure(config: pytest.Config) -> None:
    """As a plugin of the run: cases are recorded in place of being held."""
    setattr(gate_fixture, "run_case", record)  # noqa: B010 (mypy knows it as an import)


def record(case: Case, settings: Settings, run_context: RunContext, *_: object) -> CaseRun:
    """Train the seeds of a case that is not in the bank yet."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from pytest_ftcompare.training.library_logging import quiet
    from pytest_ftcompare.training.prepare import prepare
    from pytest_ftcompare.training.run_seed import run_seed

    quiet()
    folder, first, end, stream = os.environ[PLAN].split(":")
    file = Path(folder) / case.suite / f"{case.id}.json"
    if file.exists():
        pytest.skip(f"{file} is there")
    prepared = prepare(case, make_config(settings))
    result = make_candidate(prepared)
    for seed in range(int(first), int(end)):
        result.seed_results.append(
            run_seed(prepared, seed, run_context.progress(f"seed {seed}"), int(stream))
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(f".{os.getpid()}")
    half.write_text(
        replace(result, environment=result.environment | {"stream": int(stream)}).to_json(),
        encoding="utf-8",
    )
    half.replace(file)
    return CaseRun(without_baseline(result), result, "cpu")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bank", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--seeds",
        default="0-30",
        metavar="FIRST-END",
        help="the end is not trained; default: %(default)s",
    )
    parser.add_argument(
        "--stream",
        type=int,
        default=0,
        help="added to what draws all but the rows; default: %(default)s",
    )
    known, rest = parser.parse_known_args()
    plan = ":".join([str(known.folder.resolve()), *known.seeds.split("-"), str(known.stream)])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "scripts.bank",
        "--benchmark-disable",
        *(rest or ["suites/"]),
    ]
    return subprocess.run(command, env=os.environ | {PLAN: plan}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
