"""Timed windows against those of the baseline: time, memory and energy, each with a noise of its own.

A metric is compared by the logarithm of its windows' readings; more windows are asked for until the
question is settled. A stored time is judged only where the machine, as its yardsticks measure it, is
the baseline's, and where something changed that could move it. `side_by_side` judges times that a
reference environment gave in the same window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, variance
from typing import Literal

from pytest_ftcompare.compare.environment_diff import Difference, differences, software_changed
from pytest_ftcompare.compare.same_machine import (
    NO_BASELINE_READING,
    why_other_machine,
    machine_name,
    undisturbed,
    time_unit,
)
from pytest_ftcompare.results.cost_metrics import KINDS, METRICS, CostMetric
from pytest_ftcompare.results.result import Result, Window

MAX_WINDOWS = 4  # most windows of a case in one run
BASELINE_WINDOWS = 3  # windows of a baseline
Z_THRESHOLD = 4.5  # standard errors that a difference must be away from none, beside its margin
MIN_CONFIRMING_WINDOWS = (
    2  # windows, and processes that took them, without which no time is called worse or better
)
PRIOR_WEIGHT = 4.0  # windows that the prior noise of a metric counts as

NO_TIME = "every window was disturbed: its baseline holds no time"  # the note of such an update

CostOutcome = Literal[
    "equivalent", "worse", "better", "open", "changed", "incomparable", "new", "noted"
]


@dataclass(frozen=True)
class CostComparison:
    """One metric of a case against its baseline, `new` and `base` in `unit`; `how` says what was compared and how."""

    metric: str
    unit: str
    base: float
    new: float
    change: float  # relative, in what was compared
    how: str
    outcome: CostOutcome
    note: str = ""
    error: float = 0.0  # standard error of the change's logarithm, of what windows read
    judged: bool = True  # False: nothing changed that could move it, so it fails nothing
    process: str = ""  # which process read it last, by a random name


def _log_readings(windows: Sequence[Window], metric: str, position: int = 0) -> list[float]:
    """The logarithms of what the windows read, those that read it; of a time in seconds or, by its
    position, in yardsticks of a kind."""
    if METRICS[metric].unit == "s":
        values = [one.times[metric][position] for one in windows if metric in one.times]
    else:
        values = [one.readings[metric] for one in windows if metric in one.readings]
    return [math.log(one) for one in values if one > 0]


def _by_process(windows: Sequence[Window]) -> list[list[Window]]:
    """The windows of each process."""
    names = dict.fromkeys(window.process for window in windows)
    return [[window for window in windows if window.process == name] for name in names]


def _count_processes(windows: Sequence[Window]) -> int:
    """How many processes took the windows; those that do not say were one."""
    return len({one.process for one in windows})


def _log_change(
    before: Sequence[Window], windows: Sequence[Window], metric: str, unit: str
) -> float:
    """The change of the logarithm. A time in yardsticks counts only as far as those of every kind agree
    on it: where kernels and dispatch do not scale together, neither alone says what a piece should take."""
    if unit != "yardsticks" or METRICS[metric].unit != "s":
        return fmean(_log_readings(windows, metric)) - fmean(_log_readings(before, metric))
    positions = range(1, len(KINDS) + 1)
    changes = [
        fmean(_log_readings(windows, metric, k)) - fmean(_log_readings(before, metric, k))
        for k in positions
    ]
    own = changes[KINDS.index(METRICS[metric].kind)]
    return max(0.0, min(changes)) if own > 0 else min(0.0, max(changes))


def _standard_error(
    before: Sequence[Window], windows: Sequence[Window], metric: str, unit: str, factor: float
) -> float:
    """Standard error of the change, with a noise that few windows borrow from the prior."""
    rule = METRICS[metric]
    position = 1 + KINDS.index(rule.kind) if unit == "yardsticks" and rule.unit == "s" else 0
    groups = [_log_readings(one, metric, position) for one in (before, windows)]
    squares = sum((one - fmean(group)) ** 2 for group in groups for one in group)
    freedom = PRIOR_WEIGHT + sum(map(len, groups)) - 2
    within = (PRIOR_WEIGHT * (factor * rule.within) ** 2 + squares) / freedom
    between = (factor * rule.between) ** 2 * sum(
        1 / _count_processes(one) for one in (before, windows)
    )
    return math.sqrt(between + within * sum(1 / len(group) for group in groups))


def _processes_confirm(apart: Sequence[float], change: float, margin: float) -> bool:
    """Whether each of several processes, by itself, shows at least half of a margin of the change."""
    return len(apart) >= MIN_CONFIRMING_WINDOWS and all(
        math.copysign(1, change) * one > margin / 2 for one in apart
    )


def _decide(change: float, error: float, margin: float, *, confirmed: bool) -> CostOutcome:
    """Significance and a margin; a suspicion that is not `confirmed` stays open."""
    if abs(change) > max(margin, Z_THRESHOLD * error):
        return "open" if not confirmed else "worse" if change > 0 else "better"
    return "equivalent" if change + error < margin else "open"


def _why_incomparable(rule: CostMetric, base: Window, new: Window, unit: str, factor: float) -> str:
    """Why two windows cannot be compared in a metric, "" where they can."""
    if new.disturbed:
        return new.disturbed
    if rule.unit == "s" and not factor:
        return unit
    was, now = base.device_state.get("power_limit"), new.device_state.get("power_limit")
    if (
        rule.unit != "B" and None not in (was, now) and was != now
    ):  # it makes another card, as time and energy go
        return f"power limit {was} W -> {now} W"
    return ""


@dataclass(frozen=True)
class _WindowComparison:
    """What is compared: the baseline's windows, this run's, and those of this run for whose times the
    machine was the baseline's, or why there are none (`elsewhere`)."""

    before: Sequence[Window]
    windows: Sequence[Window]
    same_machine: Sequence[Window]
    other_machine: str
    unit: str
    factor: float
    judged: bool

    def compare(self, metric: str) -> CostComparison | None:
        """The metric against its baseline; None where the last window did not read it."""
        rule, last = METRICS[metric], self.windows[-1]
        if metric not in last.times and metric not in last.readings:
            return None
        is_time = rule.unit == "s"
        taken = self.same_machine if is_time else self.windows
        value = _mean_reading(taken or self.windows, metric)
        if obstacle := self._why_incomparable(metric, taken):
            return CostComparison(metric, rule.unit, 0.0, value, 0.0, "", "incomparable", obstacle)
        counts = (
            self.judged or rule.unit == "B"
        )  # a machine's speed moves time and energy, not bytes
        width = self.factor if is_time else 1.0
        change = _log_change(self.before, taken, metric, self.unit)
        error = _standard_error(self.before, taken, metric, self.unit, width)
        margin = width * rule.margin
        confirmed = not counts or self._confirmed(metric, taken, change, margin)
        outcome = _decide(change, error, margin, confirmed=confirmed)
        if not counts:
            outcome = "noted" if outcome in ("worse", "better") else "equivalent"
        values = (_mean_reading(self.before, metric), value, math.expm1(change))
        how = self.unit if is_time else "readings"
        process = taken[-1].process
        return CostComparison(
            metric, rule.unit, *values, how, outcome, error=error, judged=counts, process=process
        )

    def _why_incomparable(self, metric: str, taken: Sequence[Window]) -> str:
        """Why the metric cannot be compared, "" where it can."""
        rule = METRICS[metric]
        if not _log_readings(self.before, metric):
            return NO_BASELINE_READING
        last = self.windows[-1]
        if obstacle := _why_incomparable(rule, self.before[-1], last, self.unit, self.factor):
            return obstacle
        if rule.unit == "s" and self.other_machine:
            return self.other_machine
        return "" if _log_readings(taken, metric) else "it read nothing"

    def _confirmed(
        self, metric: str, taken: Sequence[Window], change: float, margin: float
    ) -> bool:
        """Whether windows, and for a time processes, agree that it changed."""
        if METRICS[metric].unit != "s":
            return len(_log_readings(taken, metric)) >= MIN_CONFIRMING_WINDOWS
        apart = [_log_change(self.before, one, metric, self.unit) for one in _by_process(taken)]
        return _processes_confirm(apart, change, margin)


def compare_times(
    baseline: Result, candidate: Result, changes: Sequence[Difference], *, strict: bool = False
) -> list[CostComparison]:
    """What the candidate's windows read against the baseline's; `open` asks for another window.

    Where nothing of the software changed, another time is the machine's: `noted`, unless `strict`.
    """
    windows = undisturbed(candidate.windows) or candidate.windows
    before = undisturbed(baseline.windows)
    device = str(candidate.environment.get("device", "cpu"))
    unit, factor = time_unit(changes, device)
    here, elsewhere = list(windows), ""
    if before and factor:
        reasons = [
            why_other_machine(before, one, unit, device, machine_name(candidate)) for one in windows
        ]
        here = [one for one, reason in zip(windows, reasons, strict=True) if not reason]
        elsewhere = "" if here else reasons[-1]
    judged = strict or software_changed(changes)
    compared = _WindowComparison(before, windows, here, elsewhere, unit, factor, judged)
    unread = windows[-1].unavailable
    found = [
        CostComparison(name, METRICS[name].unit, 0.0, 0.0, 0.0, "", "incomparable", unread[name])
        for name in METRICS
        if name in unread
    ]
    return [*found, *filter(None, map(compared.compare, METRICS))]


def side_by_side(
    pairs: Mapping[str, Sequence[Sequence[tuple[float, float]]]], process: str = ""
) -> list[CostComparison]:
    """Times beside a reference's, by metric: for each pair of processes the seconds (reference, here)
    of its rounds. Both ran in one window, so seconds are compared, on any machine. `process` is the last
    one that took rounds here."""
    found = []
    for metric, processes in pairs.items():
        rule = METRICS[metric]
        logs = [[math.log(here / reference) for reference, here in rounds] for rounds in processes]
        change = fmean(median(one) for one in logs)
        # A median of n normal values has a variance of pi / 2 n times theirs.
        within = sum(math.pi / 2 * variance(one) / len(one) for one in logs) / len(logs) ** 2
        error = math.sqrt(2 * rule.between**2 / len(logs) + within)
        confirmed = _processes_confirm([median(one) for one in logs], change, rule.margin)
        outcome = _decide(change, error, rule.margin, confirmed=confirmed)
        base, new = (fmean(median(r[k] for r in rounds) for rounds in processes) for k in (0, 1))
        found.append(
            CostComparison(
                *(
                    metric,
                    rule.unit,
                    base,
                    new,
                    math.expm1(change),
                    "seconds side by side",
                    outcome,
                ),
                error=error,
                process=process,
            )
        )
    return found


def costs_without_baseline(candidate: Result) -> list[CostComparison]:
    """What the candidate costs where there is nothing to compare it with."""
    counts = {
        name: float(value) for name, value in candidate.signature.get("execution", {}).items()
    }
    units = {name: "B" if name.endswith("bytes") else "" for name in counts}
    for name, metric in METRICS.items():
        if candidate.windows and (
            name in candidate.windows[-1].times or name in candidate.windows[-1].readings
        ):
            counts[name], units[name] = _mean_reading(candidate.windows, name), metric.unit
    return [
        CostComparison(name, units[name], 0.0, value, 0.0, "", "new")
        for name, value in counts.items()
    ]


def all_windows_disturbed(candidate: Result) -> bool:
    """Whether windows were taken and none may be judged."""
    return bool(candidate.windows) and all(one.disturbed for one in candidate.windows)


WindowPlace = Literal[
    "here", "fresh"
]  # in this process, or in a process that has done nothing else


def next_window(
    baseline: Result | None, candidate: Result, *, update: bool, strict: bool = False
) -> WindowPlace | None:
    """Where to take another window, None if none is needed.

    A baseline keeps `KEPT`, the last of them from a fresh process. A comparison takes windows until it
    is settled, the second and third in a fresh process; where times are not judged, one is shown.
    """
    count = len(candidate.windows)
    if update:
        sound = undisturbed(candidate.windows)
        if len(sound) >= BASELINE_WINDOWS or count >= 2 * BASELINE_WINDOWS:
            return None
        return "fresh" if len(sound) == BASELINE_WINDOWS - 1 else "here"
    if baseline is None or not count:
        return None if count else "here"
    changes = differences(baseline.environment, candidate.environment)
    readings = compare_times(baseline, candidate, changes, strict=strict)
    if count >= MAX_WINDOWS or not (_any_open(readings) or _should_retake(readings, candidate)):
        return None
    return "fresh" if count in (1, 2) and undisturbed(candidate.windows) else "here"


def _any_open(readings: Sequence[CostComparison]) -> bool:
    return any(reading.outcome == "open" for reading in readings)


def _should_retake(readings: Sequence[CostComparison], candidate: Result) -> bool:
    """Whether every window was disturbed, where an undisturbed one could be judged."""
    return all_windows_disturbed(candidate) and any(
        reading.note == candidate.windows[-1].disturbed for reading in readings
    )


def _mean_reading(windows: Sequence[Window], metric: str) -> float:
    """Mean over the windows that read it: seconds, bytes or joules."""
    values = [
        one.times[metric][0] if metric in one.times else one.readings.get(metric) for one in windows
    ]
    return fmean(one for one in values if one is not None)
