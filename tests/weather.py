"""Replace the weather: clock, date, CPU accounting, number of cores, memory. PYTEST_DONT_REWRITE

The autouse fixture in conftest.py calls `give` for each test. Every pytest that a test starts loads
this module as a plugin, by environment variables: in the test's process, in another process, and in
each of its workers.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_ftcompare.gate import accept_file, timing
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.measure import cpu_contention, host

# Seconds between two readings of the clock: above timer.ROUND_SECONDS, and exact as a float.
TICK = 1 / 32
CORES = 2
MEMORY = 16 * 2**30
TODAY = date(2030, 6, 15)
# In place of /proc/stat: no other machine took a core.
QUIET = SimpleNamespace(read_text=lambda: "cpu 0 0 0 0 0 0 0 0\n")
# In place of /proc/self/task: no thread waited.
NO_THREADS = SimpleNamespace(glob=lambda _: [])
REAL_CLOCK = "time.perf_counter"  # pytest-benchmark's default timer
_ticks = itertools.count()


def clock() -> float:
    """Return a time one tick after the last reading, so that all work takes one tick."""
    return next(_ticks) * TICK


def fresh_window(prepared: Any, place: RunContext, settings: Any) -> Any:
    """Take a window as a fresh process would, without starting a process."""
    window, _ = timing.take_window(prepared, place)
    return replace(window, process="fresh")


def give(patch: pytest.MonkeyPatch) -> None:
    """Replace the weather in this process, and in each pytest that it starts."""
    patch.setattr(cpu_contention, "THREAD_STATS", NO_THREADS)
    patch.setattr(cpu_contention, "CPU_STATS", QUIET)
    patch.setattr(timing, "take_fresh_window", fresh_window)
    patch.setattr(accept_file, "today", lambda: TODAY)
    patch.setattr(os, "cpu_count", lambda: CORES)
    patch.setattr(host, "cpus", lambda: CORES)
    patch.setattr(host, "available_memory", lambda: MEMORY)
    patch.setattr(host, "total_memory", lambda: MEMORY)
    _add(patch, "PYTEST_PLUGINS", "weather", ",")
    _add(patch, "PYTHONPATH", str(Path(__file__).parent), os.pathsep)


def _add(patch: pytest.MonkeyPatch, name: str, value: str, between: str) -> None:
    values = [entry for entry in os.environ.get(name, "").split(between) if entry]
    if value not in values:
        patch.setenv(name, between.join([*values, value]))


# Runs before xdist counts cores, and before pytest-benchmark reads its timer.
@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: Any) -> None:
    # In the test's own process, the fixture has done it, and the test may have changed it since.
    if cpu_contention.CPU_STATS is not QUIET:
        give(pytest.MonkeyPatch())
    if getattr(config.option, "benchmark_timer", None) == REAL_CLOCK:
        config.option.benchmark_timer = f"{__name__}.clock"
