"""Whether a time may be compared with a baseline's: what changed, in which unit, and whether the
machine is the same, as its yardsticks measure it."""

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

UNTIMED = "not timed: "  # begins the note of a case that would be timed, before the reason
NOTHING_CHANGED = "nothing changed that could move it"
NO_BASELINE_READING = (
    "its baseline has no undisturbed reading: --update-baselines on a quiet machine"
)

YARDSTICK_ENTRIES = frozenset(
    {"torch", "cuda", "driver", "yardstick"}
)  # with another of these, other yardsticks
CPU_MACHINE_ENTRIES = (
    "threads",
    "cpu",
    "instruction set",
)  # with another of these, another machine on a CPU
SECONDS_FACTOR = 2.5  # how much noisier seconds are than yardsticks
# Logarithm by which a yardstick may be faster or slower on the baseline's machine. Hosts with the same
# processor name were seen 1.1 to 1.6 times apart; a larger number compares more of them, a smaller number
# loses more of the home machine's own windows (docs/cost.md).
MAX_SPEED_DIFFERENCE = 0.15


def time_unit(changes: Sequence[Difference], device: str) -> tuple[str, float]:
    """The unit that times are compared in and the factor of its margin; or why they cannot be, and 0."""
    by_name = {change.name: change for change in changes}
    machine = by_name.get("machine")
    if machine and ABSENT not in (machine.base, machine.new):
        return f"FTCOMPARE_MACHINE {machine.base} -> {machine.new}", 0.0
    for name in (
        CPU_MACHINE_ENTRIES if device == "cpu" else ()
    ):  # a GPU is its own machine, whatever its host
        if name in by_name:
            return str(by_name[name]), 0.0
    python = by_name.get("python")
    if python and python.base.split(".")[:2] != python.new.split(".")[:2]:
        return f"{python}: its yardsticks are others", 0.0
    return (
        ("seconds", SECONDS_FACTOR) if YARDSTICK_ENTRIES & by_name.keys() else ("yardsticks", 1.0)
    )


def why_other_machine(
    before: Sequence[Window], window: Window, unit: str, device: str, name: str = ""
) -> str:
    """Why the window was not taken on the machine of those before, as measured; "" where it was.

    Another torch has yardsticks of its own, so then the machine is told by memory and interpreter
    alone; a GPU by what runs on it. `name` is what FTCOMPARE_MACHINE calls both machines.
    """
    kinds = {"kernels", "dispatch", "memory", "interpreter"}
    kinds -= {"kernels", "dispatch"} if unit == "seconds" else set()
    kinds -= {"interpreter", "dispatch"} if device != "cpu" else set()
    return _compare_speeds(before, window.yardsticks, kinds, name)


def _compare_speeds(
    before: Sequence[Window], speeds: Mapping[str, float], kinds: set[str], name: str
) -> str:
    """Why yardsticks of these kinds, in seconds, differ from those of the windows before, or ""."""
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
    what = f"FTCOMPARE_MACHINE={name} names two machines that differ" if name else "another machine"
    return f"{what}: the yardstick {furthest} takes {ratios[furthest]:.2f} times as long"


def machine_name(candidate: Result) -> str:
    """What FTCOMPARE_MACHINE calls the machine of a result, "" where it is not set."""
    return str(candidate.environment.get("machine", ""))


def why_times_unjudged(baseline: Result, candidate: Result, *, strict: bool = False) -> str:
    """Why no time of the case could be judged on a CPU, known before a window is taken, or ""."""
    changes = differences(baseline.environment, candidate.environment)
    if not (strict or software_changed(changes)):
        return NOTHING_CHANGED
    unit, factor = time_unit(changes, "cpu")
    if not factor:
        return unit
    return "" if undisturbed(baseline.windows) else NO_BASELINE_READING


def why_other_speeds(baseline: Result, candidate: Result, speeds: Mapping[str, float]) -> str:
    """Why a machine with these speeds is not the baseline's, or "". `speeds` are the seconds of the
    yardsticks that are timed beside no piece of work."""
    return _compare_speeds(
        undisturbed(baseline.windows), speeds, set(speeds), machine_name(candidate)
    )


def undisturbed(windows: Sequence[Window]) -> list[Window]:
    return [window for window in windows if not window.disturbed]
