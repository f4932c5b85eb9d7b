"""Detect whether other work took a timed process's cores, by Linux's accounting.

The gate disregards a disturbed window. A thread that sleeps does not wait for a core, so waits
that the timed code causes itself are never excused.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# <thread>/schedstat: nanoseconds on a core, nanoseconds waiting for a core, time slices.
# <thread>/stat: the third field is "R" for a thread that has a core or waits for one.
THREAD_STATS = Path("/proc/self/task")
# First line: ticks of 10 ms by kind. The eighth is "steal": taken by other virtual machines.
CPU_STATS = Path("/proc/stat")
# Share of the time, measured: yardsticks do not slow down at 2 %, but do at tens of percent.
# Raising it lets disturbed windows be judged.
MAX_LOST_SHARE = 0.02


@dataclass(frozen=True)
class CpuAccounting:
    """Lost CPU time at one moment, in seconds.

    `waited` is how long this process's threads were ready but had no core. `stolen` is how long
    other virtual machines had a core of this machine, per core.
    """

    taken_at: float
    waited: float
    stolen: float


def cpu_accounting() -> CpuAccounting | None:
    """Read the accounting; None if the system has none."""
    try:
        waited = (
            sum(int(file.read_text().split()[1]) for file in THREAD_STATS.glob("*/schedstat")) / 1e9
        )
        stolen = (
            int(CPU_STATS.read_text().split("\n", 1)[0].split()[8]) / 100 / (os.cpu_count() or 1)
        )
    except (OSError, IndexError, ValueError):
        return None
    return CpuAccounting(time.monotonic(), waited, stolen)


def other_threads_compute() -> bool:
    """Check whether a thread other than the calling one computes; False if the system cannot tell.

    The process's CPU time cannot tell it: beside a busy thread, it stood still for milliseconds.
    """
    own = str(threading.get_native_id())
    with suppress(OSError):
        for file in THREAD_STATS.glob("*/stat"):
            # The second field, in brackets, may have any characters.
            if file.parent.name != own and file.read_text().rpartition(") ")[2][:1] == "R":
                return True
    return False


@dataclass(frozen=True)
class RoundTime:
    """The seconds of one call of a piece of work, from one round.

    The round took `passed` seconds of its process, which waited `waited` of them for a core.
    """

    seconds: float
    waited: float = 0.0
    passed: float = 0.0


def round_time(seconds: float, before: CpuAccounting | None) -> RoundTime:
    """Return a round that began at `before` and ends now."""
    after = cpu_accounting()
    if before is None or after is None:
        return RoundTime(seconds)
    return RoundTime(seconds, after.waited - before.waited, after.taken_at - before.taken_at)


def why_rounds_disturbed(rounds: Iterable[RoundTime]) -> str:
    """Return why the rounds of a process must not be judged; "" if nothing is wrong."""
    kept = list(rounds)
    passed = sum(taken.passed for taken in kept)
    if not passed:
        return ""
    return _why_waited(sum(taken.waited for taken in kept) / passed)


def _why_waited(share: float) -> str:
    if share > MAX_LOST_SHARE:
        return f"other processes had this worker's cores for {share:.0%} of the time"
    return ""


def disturbed(
    before: CpuAccounting | None, after: CpuAccounting | None, *, computes: bool = True
) -> str:
    """Return why a reading between the two moments must not be judged; "" if nothing is wrong.

    A process that only awaits others' answers `computes` nothing: its waits do not count.
    """
    if before is None or after is None:
        return ""
    passed = after.taken_at - before.taken_at
    if computes and (reason := _why_waited((after.waited - before.waited) / passed)):
        return reason
    if (share := (after.stolen - before.stolen) / passed) > MAX_LOST_SHARE:
        return f"other virtual machines had this one's cores for {share:.0%} of the time"
    return ""
