"""What tests of cases and of claims share: a worker's own GPU, the clock of pytest-benchmark, what a report carries."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pytest_ftcompare.gate.case_work import CaseOpener
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.gate.run_folder import RunFolder
from pytest_ftcompare.gate.session import GateSession
from pytest_ftcompare.gate.worker_status import WorkerStatus
from pytest_ftcompare.measure import gpu_assignment
from pytest_ftcompare.plugin import benchmark_bridge
from pytest_ftcompare.plugin.options import SETTINGS

SESSION = pytest.StashKey[GateSession]()
RUN = pytest.StashKey[RunFolder]()
FINISHED = pytest.StashKey[bool]()  # whether the session came to its end
OPENER = pytest.StashKey[CaseOpener]()
TOLD = pytest.StashKey[WorkerStatus]()
CARRIED = pytest.StashKey[
    dict[str, str]
]()  # attributes of the test's report, which xdist sends to the controller


def carry(item: pytest.Item, name: str, text: str) -> None:
    """Let the report of the test have an attribute of this name."""
    item.stash.setdefault(CARRIED, {})[name] = text


def make_opener(config: pytest.Config) -> CaseOpener:
    """What computes cases: torch, imported when the first case or claim runs, unless the session was given another."""
    if (given := config.stash.get(OPENER, None)) is not None:
        return given
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from pytest_ftcompare.training.library_logging import quiet

    quiet()  # before the next import, which may import what has advice to give
    from pytest_ftcompare.gate.torch_case import TorchCases

    return TorchCases()


def make_run_context(request: pytest.FixtureRequest, about: str) -> tuple[Any, RunContext]:
    """The fixture of pytest-benchmark, None for a test without it, and the bench to work on; `about` is what is told of."""
    settings, told = request.config.stash[SETTINGS], request.config.stash[TOLD]
    if (worker := os.environ.get("PYTEST_XDIST_WORKER")) and settings.device != "cpu":
        gpu_assignment.bind_gpu(int(worker.removeprefix("gw")), os.environ)
    benchmark = (
        request.getfixturevalue("benchmark") if "benchmark" in request.node.fixturenames else None
    )
    clock = (
        benchmark_bridge.timer(benchmark)
        if benchmark and benchmark_bridge.active(benchmark)
        else None
    )
    return benchmark, RunContext(told.folder, clock, settings.window, told.about(about))
