"""The weather that tests are given: a clock, an account of the cores, their number and the memory. PYTEST_DONT_REWRITE

The autouse fixture in conftest.py calls `give` for each test. Every pytest that a test starts loads this module as a plugin, by
the environment: in the test's process, in a process of its own, and in each of its workers.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_ftcompare.gate import timing
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.measure import cpu_contention, host

TICK = (
    1 / 32
)  # seconds between two readings: more than a round of the meter needs, and exact in a float
CORES = 2
MEMORY = 16 * 2**30
QUIET = SimpleNamespace(
    read_text=lambda: "cpu 0 0 0 0 0 0 0 0\n"
)  # as /proc/stat: no other machine took a core
NO_THREADS = SimpleNamespace(glob=lambda _: [])  # as /proc/self/task: no thread waited
REAL_CLOCK = "time.perf_counter"  # pytest-benchmark's timer where nobody chose another
_ticks = itertools.count()


def clock() -> float:
    """Each reading is a tick after the last one, however long that really took: all work lasts one tick."""
    return next(_ticks) * TICK


def fresh_window(prepared: Any, place: RunContext, settings: Any) -> Any:
    """A window as a fresh process would take it, without the seconds that a process takes to start."""
    window, _ = timing.take_window(prepared, place)
    return replace(window, process="fresh")


def give(patch: pytest.MonkeyPatch) -> None:
    """Give the weather to this process, and to each pytest that is started below it."""
    patch.setattr(cpu_contention, "THREAD_STATS", NO_THREADS)
    patch.setattr(cpu_contention, "CPU_STATS", QUIET)
    patch.setattr(timing, "take_fresh_window", fresh_window)
    patch.setattr(os, "cpu_count", lambda: CORES)
    patch.setattr(host, "cpus", lambda: CORES)
    patch.setattr(host, "available_memory", lambda: MEMORY)
    patch.setattr(host, "total_memory", lambda: MEMORY)
    _add(patch, "PYTEST_PLUGINS", "weather", ",")
    _add(patch, "PYTHONPATH", str(Path(__file__).parent), os.pathsep)


def _add(patch: pytest.MonkeyPatch, name: str, value: str, between: str) -> None:
    values = [one for one in os.environ.get(name, "").split(between) if one]
    if value not in values:
        patch.setenv(name, between.join([*values, value]))


@pytest.hookimpl(
    tryfirst=True
)  # before xdist counts cores, and before pytest-benchmark reads its timer
def pytest_cmdline_main(config: Any) -> None:
    if (
        cpu_contention.CPU_STATS is not QUIET
    ):  # a process of its own; the test's process has it already, and what the test changed
        give(pytest.MonkeyPatch())
    if getattr(config.option, "benchmark_timer", None) == REAL_CLOCK:
        config.option.benchmark_timer = f"{__name__}.clock"
