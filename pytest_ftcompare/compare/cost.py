"""Timed windows against those of the baseline: time, memory and energy, each with a noise of its own.

A metric is compared by the logarithm of its windows' readings; more windows are asked for until the question is settled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from pytest_ftcompare.compare.environment import Difference, differences
from pytest_ftcompare.result import Result, Window

WINDOWS = 4  # most windows of a case in one run
KEPT = 3  # windows of a baseline
EVIDENCE = 4.0  # standard errors that a difference must be away from none, beside its margin
CONFIRMED = 2  # windows without which nothing is called worse or better
WEIGHT = 4.0  # windows that the prior noise of a metric counts as

NO_TIME = "every window was disturbed: its baseline holds no time"  # the note of such an update

Outcome = Literal["held", "worse", "better", "open", "changed", "incomparable", "new"]


@dataclass(frozen=True)
class Metric:
    """A metric that windows read: the least relative change that counts, and its noise.

    `between` is the SD of a logarithm from one process to another, which all windows of a run share; `within`, that of one
    window in a process.
    """

    unit: str
    margin: float
    between: float
    within: float


# The noise of times is measured with nothing changed (docs/cost.md); that of a GPU's readings is a guess until one was had.
METRICS = {
    "step": Metric("s", 0.03, 0.007, 0.006),
    "evaluation": Metric("s", 0.03, 0.007, 0.006),
    "inference": Metric("s", 0.25, 0.045, 0.027),  # of one row, which is Python's time: it differs from process to process
    "merged inference": Metric("s", 0.15, 0.02, 0.017),
    "allocated bytes, training": Metric("B", 0.01, 0.0005, 0.0005),
    "allocated bytes, evaluation": Metric("B", 0.01, 0.0005, 0.0005),
    "reserved bytes, training": Metric("B", 0.02, 0.002, 0.002),
    "reserved bytes, evaluation": Metric("B", 0.02, 0.002, 0.002),
    "process bytes, training": Metric("B", 0.02, 0.002, 0.002),
    "process bytes, evaluation": Metric("B", 0.02, 0.002, 0.002),
    "joules per 1000 examples": Metric("J", 0.05, 0.01, 0.01),
}

KERNELS = frozenset({"torch", "cuda", "driver", "yardstick"})  # with another of these the yardstick is another one
MACHINE = frozenset({"cpu", "instruction set"})
SECONDS = 2.5  # how much noisier seconds are than yardsticks
ELSEWHERE = 4.0  # how much further another instruction set moves yardsticks


@dataclass(frozen=True)
class Reading:
    """One metric of a case against its baseline, `new` and `base` in `unit`; `how` says what was compared and how."""

    metric: str
    unit: str
    base: float
    new: float
    change: float  # relative, in what was compared
    how: str
    outcome: Outcome
    note: str = ""
    error: float = 0.0  # standard error of the change's logarithm, of what windows read


def _unit(changes: Sequence[Difference], device: str) -> tuple[str, float]:
    """What times are compared in, and how many times the margin it needs; or why they cannot be, and 0."""
    names = {one.name for one in changes}
    if device != "cpu":  # a GPU is its own machine, whatever its host
        names -= MACHINE
    for name in ("threads", "cpu"):  # a yardstick of another processor was seen to be a third off for some methods
        if name in names:
            return next(str(one) for one in changes if one.name == name), 0.0
    if not names & KERNELS:
        return "yardsticks", ELSEWHERE if names & MACHINE else 1.0
    if names & MACHINE:
        return "another torch with another instruction set", 0.0
    return "seconds", SECONDS


def _logs(windows: Sequence[Window], metric: str, how: str) -> list[float]:
    """The logarithms of what the windows read, those that read it."""
    if METRICS[metric].unit == "s":
        values = [one.times[metric][how == "yardsticks"] for one in windows if metric in one.times]
    else:
        values = [one.readings[metric] for one in windows if metric in one.readings]
    return [math.log(one) for one in values if one]


def _processes(windows: Sequence[Window]) -> int:
    """How many processes took the windows; those that do not say were one."""
    return len({one.process for one in windows})


def _settle(
    base: Sequence[float], new: Sequence[float], metric: Metric, factor: float, processes: tuple[int, int]
) -> tuple[Outcome, float]:
    """Significance and a margin, with a noise that few windows borrow from the prior; and the standard error."""
    change = fmean(new) - fmean(base)
    squares = sum((one - fmean(group)) ** 2 for group in (base, new) for one in group)
    freedom = WEIGHT + len(base) + len(new) - 2
    within = (WEIGHT * (factor * metric.within) ** 2 + squares) / freedom
    between = (factor * metric.between) ** 2 * sum(1 / one for one in processes)
    error = math.sqrt(between + within * (1 / len(base) + 1 / len(new)))
    margin = factor * metric.margin
    if abs(change) > max(margin, EVIDENCE * error):
        return ("open" if len(new) < CONFIRMED else "worse" if change > 0 else "better"), error
    return ("held" if change + error < margin else "open"), error


def _obstacle(metric: Metric, base: Window, new: Window, unit: str, factor: float) -> str:
    """Why two windows cannot be compared in a metric, "" where they can."""
    if new.disturbed:
        return new.disturbed
    if metric.unit == "s" and not factor:
        return unit
    was, now = base.state.get("power_limit"), new.state.get("power_limit")
    if metric.unit != "B" and None not in (was, now) and was != now:  # it makes another card, as time and energy go
        return f"power limit {was} W -> {now} W"
    return ""


def timed(baseline: Result, candidate: Result, changes: Sequence[Difference]) -> list[Reading]:
    """What the candidate's windows read against the baseline's; `open` asks for another window."""
    windows = [one for one in candidate.windows if not one.disturbed] or candidate.windows
    before = [one for one in baseline.windows if not one.disturbed]
    unit, factor = _unit(changes, str(candidate.environment.get("device", "cpu")))
    last = windows[-1]
    found = []
    for name, metric in METRICS.items():
        if name in last.unread:
            found.append(Reading(name, metric.unit, 0.0, 0.0, 0.0, "", "incomparable", last.unread[name]))
        if name not in last.times and name not in last.readings:
            continue
        how = unit if metric.unit == "s" else "readings"
        base, new = _logs(before, name, how), _logs(windows, name, how)
        missing = "" if base else "its baseline has no undisturbed reading: --update-baselines on a quiet machine"
        obstacle = missing or _obstacle(metric, before[-1], last, unit, factor) or ("" if new else "it read nothing")
        value = _value(windows, name)
        if obstacle:
            found.append(Reading(name, metric.unit, 0.0, value, 0.0, "", "incomparable", obstacle))
            continue
        outcome, error = _settle(
            base, new, metric, factor if metric.unit == "s" else 1.0, (_processes(before), _processes(windows))
        )
        change = math.exp(fmean(new) - fmean(base)) - 1
        found.append(Reading(name, metric.unit, _value(before, name), value, change, how, outcome, error=error))
    return found


def alone(candidate: Result) -> list[Reading]:
    """What the candidate costs where there is nothing to compare it with."""
    counts = {name: float(value) for name, value in candidate.signature.get("execution", {}).items()}
    units = {name: "B" if name.endswith("bytes") else "" for name in counts}
    for name, metric in METRICS.items():
        if candidate.windows and (name in candidate.windows[-1].times or name in candidate.windows[-1].readings):
            counts[name], units[name] = _value(candidate.windows, name), metric.unit
    return [Reading(name, units[name], 0.0, value, 0.0, "", "new") for name, value in counts.items()]


def lacks_time(candidate: Result) -> bool:
    """Whether windows were taken and none may be judged."""
    return bool(candidate.windows) and all(one.disturbed for one in candidate.windows)


def another(baseline: Result | None, candidate: Result, *, update: bool) -> bool:
    """Whether to take another window: until a baseline has its own, until a comparison is settled, or once to be told."""
    if update:
        sound = [one for one in candidate.windows if not one.disturbed]
        return len(sound) < KEPT and len(candidate.windows) < 2 * KEPT
    if baseline is None or not candidate.windows:
        return not candidate.windows
    changes = differences(baseline.environment, candidate.environment)
    readings = timed(baseline, candidate, changes)
    unsettled = any(one.outcome == "open" for one in readings) or lacks_time(candidate)
    return unsettled and len(candidate.windows) < WINDOWS


def _value(windows: Sequence[Window], metric: str) -> float:
    """Mean over the windows that read it: seconds, bytes or joules."""
    values = [one.times[metric][0] if metric in one.times else one.readings.get(metric) for one in windows]
    return fmean(one for one in values if one is not None)
