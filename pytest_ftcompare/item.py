"""What tests of cases and of claims share: a worker's own GPU, the clock of pytest-benchmark, what a report carries."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pytest_ftcompare import benchmarks
from pytest_ftcompare.bench import Bench
from pytest_ftcompare.measure import device
from pytest_ftcompare.options import SETTINGS
from pytest_ftcompare.told import Told

TOLD = pytest.StashKey[Told]()
CARRIED = pytest.StashKey[dict[str, str]]()  # attributes of the test's report, which xdist sends to the controller


def carry(item: pytest.Item, name: str, text: str) -> None:
    """Let the report of the test have an attribute of this name."""
    item.stash.setdefault(CARRIED, {})[name] = text


def make_bench(request: pytest.FixtureRequest, about: str) -> tuple[Any, Bench]:
    """The fixture of pytest-benchmark, None for a test without it, and the bench to work on; `about` is what is told of."""
    settings, told = request.config.stash[SETTINGS], request.config.stash[TOLD]
    if (worker := os.environ.get("PYTEST_XDIST_WORKER")) and settings.device != "cpu":
        device.choose(int(worker.removeprefix("gw")), os.environ)
    benchmark = request.getfixturevalue("benchmark") if "benchmark" in request.node.fixturenames else None
    clock = benchmarks.timer(benchmark) if benchmark and benchmarks.active(benchmark) else None
    return benchmark, Bench(told.folder, clock, settings.window, told.about(about))
