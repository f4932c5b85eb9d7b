"""What the fixtures `gate` and `claim` share: stash keys, the test report, the run's context."""

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

GATE_SESSION = pytest.StashKey[GateSession]()
RUN_FOLDER = pytest.StashKey[RunFolder]()
FINISHED = pytest.StashKey[bool]()  # whether the session ran all its tests
OPENER = pytest.StashKey[CaseOpener]()
WORKER_STATUS = pytest.StashKey[WorkerStatus]()
# Attributes of the test's report; xdist sends them to the controller.
REPORT_ATTRIBUTES = pytest.StashKey[dict[str, str]]()


def add_to_report(item: pytest.Item, name: str, text: str) -> None:
    """Set an attribute of the test's report."""
    item.stash.setdefault(REPORT_ATTRIBUTES, {})[name] = text


def make_opener(config: pytest.Config) -> CaseOpener:
    """Return the session's `OPENER`, by default the one that computes cases with torch.

    torch is imported here, when the first case or claim runs.
    """
    if (opener := config.stash.get(OPENER, None)) is not None:
        return opener
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from pytest_ftcompare.training.library_logging import quiet

    # Before the next import: it loads libraries that log advice.
    quiet()
    from pytest_ftcompare.gate.torch_case import TorchCases

    return TorchCases()


def make_run_context(request: pytest.FixtureRequest, subject: str) -> tuple[Any, RunContext]:
    """Return pytest-benchmark's fixture, None without it, and the context that a case runs in.

    Under xdist, bind the worker to its GPU. `subject` is the case or claim in the live display.
    """
    settings, status = request.config.stash[SETTINGS], request.config.stash[WORKER_STATUS]
    if (worker := os.environ.get("PYTEST_XDIST_WORKER")) and settings.device != "cpu":
        gpu_assignment.bind_gpu(int(worker.removeprefix("gw")), os.environ)
    benchmark = (
        request.getfixturevalue("benchmark") if "benchmark" in request.node.fixturenames else None
    )
    clock = (
        benchmark_bridge.timer(benchmark)
        if benchmark and benchmark_bridge.is_active(benchmark)
        else None
    )
    return benchmark, RunContext(
        status.folder, clock, settings.window, status.reporter(subject), subject
    )
