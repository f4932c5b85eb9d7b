"""Decide whether a time may be compared with a baseline's: in which unit, and on which machine.

Yardsticks identify the machine. `measured_cost.py` and the gate call it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from pytest_ftcompare.compare.environment_diff import (
    ABSENT,
    Difference,
    differences,
    software_changed,
)
from pytest_ftcompare.results.result import Result, Window

# First words of the note of a case that was not timed; the reason follows.
UNTIMED = "not timed: "
NOTHING_CHANGED = "nothing changed that could move it"
NO_BASELINE_READING = (
    "its baseline has no undisturbed reading: --update-baselines on a quiet machine"
)

# Environment entries that change the yardsticks themselves.
YARDSTICK_ENTRIES = frozenset(
    {"torch", "cuda", "driver", "yardstick", "cublas workspace", "cudnn", "tf32"}
)
# Environment entries that make a CPU another machine.
CPU_MACHINE_ENTRIES = ("threads", "cpu", "instruction set")
# Noise of seconds relative to that of yardsticks. Chosen: in ten runs with nothing changed, seconds
# had 1.4 to 2.4 times the SD (docs/cost.md). Raising it finds fewer slowdowns after an upgrade of
# torch.
SECONDS_FACTOR = 2.5
# Logarithm by which a yardstick may be faster or slower on the baseline's machine. Hosts with one
# processor name were 1.1 to 1.6 times apart. Raising it takes more of them for the same machine;
# lowering it rejects more windows of the baseline's own machine.
MAX_SPEED_DIFFERENCE = 0.15


def time_unit(changes: Sequence[Difference], device: str) -> tuple[str, float]:
    """Return the unit for times and the factor of their margin and noise.

    If times cannot be compared, return the reason and 0.
    """
    by_name = {change.name: change for change in changes}
    machine = by_name.get("machine")
    if machine and ABSENT not in (machine.base, machine.new):
        return f"FTCOMPARE_MACHINE {machine.base} -> {machine.new}", 0.0
    # A GPU is its own machine, whatever its host.
    for name in CPU_MACHINE_ENTRIES if device == "cpu" else ():
        if name in by_name:
            return str(by_name[name]), 0.0
    python = by_name.get("python")
    if python and python.base.split(".")[:2] != python.new.split(".")[:2]:
        return f"{python}: its yardsticks are different", 0.0
    return (
        ("seconds", SECONDS_FACTOR) if YARDSTICK_ENTRIES & by_name.keys() else ("yardsticks", 1.0)
    )


def why_machine_differs(
    before: Sequence[Window], window: Window, unit: str, device: str, name: str = ""
) -> str:
    """Return why the window was not taken on the machine of the windows before, or "".

    With another torch the yardsticks `kernels` and `dispatch` differ, so memory and interpreter
    identify the machine. A GPU is identified by what runs on it. `name` is the value of
    FTCOMPARE_MACHINE for both machines.
    """
    kinds = {"kernels", "dispatch", "memory", "interpreter"}
    kinds -= {"kernels", "dispatch"} if unit == "seconds" else set()
    kinds -= {"interpreter", "dispatch"} if device != "cpu" else set()
    return _compare_speeds(before, window.yardsticks, kinds, name)


def _compare_speeds(
    before: Sequence[Window], speeds: Mapping[str, float], kinds: set[str], name: str
) -> str:
    """Return why yardsticks of these kinds, in seconds, differ from those before, or ""."""
    measured = [window.yardsticks for window in before]
    if not all(yardsticks.get(kind) for yardsticks in (*measured, speeds) for kind in kinds):
        return "its baseline does not say how fast its machine was: --update-baselines"
    means = {
        kind: math.exp(fmean(math.log(yardsticks[kind]) for yardsticks in measured))
        for kind in kinds
    }
    ratios = {kind: speeds[kind] / means[kind] for kind in kinds}
    furthest = max(sorted(ratios), key=lambda kind: abs(math.log(ratios[kind])))
    if abs(math.log(ratios[furthest])) <= MAX_SPEED_DIFFERENCE:
        return ""
    cause = (
        f"FTCOMPARE_MACHINE={name} names two machines that differ" if name else "another machine"
    )
    return f"{cause}: the yardstick {furthest} takes {ratios[furthest]:.2f} times as long"


def machine_name(candidate: Result) -> str:
    """Return the FTCOMPARE_MACHINE of a result, or "" if it was not set."""
    return str(candidate.environment.get("machine", ""))


def why_times_unjudged(baseline: Result, candidate: Result, *, strict: bool = False) -> str:
    """Return why no time of the case can be judged on a CPU, before a window is taken, or ""."""
    changes = differences(baseline.environment, candidate.environment)
    if not (strict or software_changed(changes)):
        return NOTHING_CHANGED
    unit, factor = time_unit(changes, "cpu")
    if not factor:
        return unit
    return "" if undisturbed(baseline.windows) else NO_BASELINE_READING


def why_other_speeds(baseline: Result, candidate: Result, speeds: Mapping[str, float]) -> str:
    """Return why a machine with these speeds is not the baseline's, or "".

    `speeds` are the seconds of yardsticks that are timed beside no piece of work.
    """
    return _compare_speeds(
        undisturbed(baseline.windows), speeds, set(speeds), machine_name(candidate)
    )


def undisturbed(windows: Sequence[Window]) -> list[Window]:
    return [window for window in windows if not window.disturbed]
