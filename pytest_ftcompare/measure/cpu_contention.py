"""Whether this process had its cores while it was timed: how long it was ready to run and did not, by Linux's own account.

A step that sleeps is not ready, so waiting of its own making is not excused.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

THREADS = Path(
    "/proc/self/task"
)  # <thread>/schedstat: nanoseconds on a core, nanoseconds waiting for one, time slices
STEAL = Path(
    "/proc/stat"
)  # its first line: ticks of 10 ms by kind; the eighth was taken by other virtual machines
SHARE = 0.02  # of the time: seen to leave yardsticks alone, while tens of percent do not


@dataclass(frozen=True)
class CpuAccounting:
    """Seconds that this process's threads waited for a core, and that a core of the machine was another's, at a moment."""

    at: float
    waited: float
    stolen: float


def cpu_accounting() -> CpuAccounting | None:
    """None where the system keeps no such account."""
    try:
        waited = sum(int(one.read_text().split()[1]) for one in THREADS.glob("*/schedstat")) / 1e9
        stolen = int(STEAL.read_text().split("\n", 1)[0].split()[8]) / 100 / (os.cpu_count() or 1)
    except (OSError, IndexError, ValueError):
        return None
    return CpuAccounting(time.monotonic(), waited, stolen)


def disturbed(before: CpuAccounting | None, after: CpuAccounting | None) -> str:
    """Why what was timed between the two must not be judged, "" where nothing speaks against it."""
    if before is None or after is None:
        return ""
    passed = after.at - before.at
    if (share := (after.waited - before.waited) / passed) > SHARE:
        return f"other processes had this worker's cores for {share:.0%} of the time"
    if (share := (after.stolen - before.stolen) / passed) > SHARE:
        return f"other virtual machines had this one's cores for {share:.0%} of the time"
    return ""
