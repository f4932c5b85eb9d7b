"""Compare timed windows with the baseline's: time, memory and energy, each with its own noise.

A metric is compared by the logarithm of its windows' readings. More windows are taken until the
question is settled (docs/cost.md). A stored time is judged only on the baseline's machine, as its
yardsticks measure it, and only if something changed that could move it. `side_by_side` compares
times that a reference environment gave in the same window. The gate calls this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from pytest_ftcompare.compare.environment_diff import Difference, differences, software_changed
from pytest_ftcompare.compare.same_machine import (
    NO_BASELINE_READING,
    machine_name,
    time_unit,
    undisturbed,
    why_machine_differs,
)
from pytest_ftcompare.results.cost_metrics import KINDS, METRICS, CostMetric
from pytest_ftcompare.results.result import Result, Window

# Windows of a case in one run, at most. Chosen. Raising it settles more cases and takes more time.
MAX_WINDOWS = 4
# Windows of a baseline. Chosen. Raising it makes the baseline's times better known.
BASELINE_WINDOWS = 3
# Standard errors of a real change. From simulated sessions (docs/statistics.md): with 4 instead of
# 4.5, 4 of 300 sessions without a loss called a case worse. Raising it finds fewer slowdowns.
Z_THRESHOLD = 4.5
# Windows that must show a change of memory or energy, and processes that must show a change of
# time. Chosen. Raising it needs more windows.
MIN_CONFIRMING_WINDOWS = 2
# Standard errors of a change beside a reference from which a second pair of processes is asked.
# In simulated pairs (tests/compare/test_measured_cost.py), at most 1 % fewer slowdowns are found
# than if every open reading asked. Raising it asks less and finds less.
MIN_SUSPICION = 2.0
# Variance of a median of rounds beside a reference at which they are precise, as a share of the
# variance between processes. Chosen: two processes' is four times that. Raising it takes fewer
# rounds on a noisy machine and finds less.
PRECISE_VARIANCE = 0.5
# Windows that the prior noise of a metric counts as. Chosen. Raising it trusts the prior more.
PRIOR_WEIGHT = 4.0

# Value of a cost that nothing has read. The report has null for it.
NOT_READ = math.nan
# Note of an updated baseline without times.
NO_TIME = "every window was disturbed: its baseline holds no time"

CostOutcome = Literal[
    "equivalent", "worse", "better", "open", "changed", "incomparable", "new", "noted"
]

# Entry of a GPU's environment (training/torch_settings.py).
WORKSPACE_ENTRY = "cublas workspace"


@dataclass(frozen=True)
class CostComparison:
    """One metric of a case against its baseline: `base` and `new` are in `unit`.

    `new` is `NOT_READ` if the metric is incomparable because nothing read it.
    `how` says what was compared, such as yardsticks or seconds.
    """

    metric: str
    unit: str
    base: float
    new: float
    change: float  # relative, of the quantity that `how` names
    how: str
    outcome: CostOutcome
    note: str = ""
    error: float = 0.0  # standard error of the logarithm of the change; 0 if not measured
    judged: bool = True  # False if nothing changed that could move it: it fails nothing
    process: str = ""  # random name of the process that read it last


def not_read(metric: str, reason: str) -> CostComparison:
    """Return a metric that nothing read, for this reason."""
    return CostComparison(
        metric, METRICS[metric].unit, 0.0, NOT_READ, 0.0, "", "incomparable", reason
    )


def _log_readings(windows: Sequence[Window], metric: str, position: int = 0) -> list[float]:
    """Return the logarithms of a metric's readings, of the windows that have them.

    A time is in seconds (position 0) or in yardsticks of a kind (position 1 and up).
    """
    if METRICS[metric].unit == "s":
        values = [window.times[metric][position] for window in windows if metric in window.times]
    else:
        values = [window.readings[metric] for window in windows if metric in window.readings]
    return [math.log(value) for value in values if value > 0]


def _by_process(windows: Sequence[Window]) -> list[list[Window]]:
    """Group the windows by process."""
    names = dict.fromkeys(window.process for window in windows)
    return [[window for window in windows if window.process == name] for name in names]


def _count_processes(windows: Sequence[Window]) -> int:
    """Count the processes that took the windows; windows without a name count as one process."""
    return len({window.process for window in windows})


def _log_change(
    before: Sequence[Window], windows: Sequence[Window], metric: str, unit: str
) -> float:
    """Return the change of the mean logarithm.

    A time in yardsticks changes only as far as all kinds of yardsticks agree. Kernels and dispatch
    may scale differently, so one kind alone does not predict a piece of work.
    """
    if unit != "yardsticks" or METRICS[metric].unit != "s":
        return fmean(_log_readings(windows, metric)) - fmean(_log_readings(before, metric))
    positions = range(1, len(KINDS) + 1)
    changes = [
        fmean(_log_readings(windows, metric, k)) - fmean(_log_readings(before, metric, k))
        for k in positions
    ]
    main_change = changes[KINDS.index(METRICS[metric].kind)]
    return max(0.0, min(changes)) if main_change > 0 else min(0.0, max(changes))


def _standard_error(
    before: Sequence[Window], windows: Sequence[Window], metric: str, unit: str, factor: float
) -> float:
    """Return the standard error of the change (formula: docs/cost.md, "The test").

    `factor` widens the metric's prior noise.
    """
    rule = METRICS[metric]
    position = 1 + KINDS.index(rule.kind) if unit == "yardsticks" and rule.unit == "s" else 0
    groups = [_log_readings(side, metric, position) for side in (before, windows)]
    squares = sum((value - fmean(group)) ** 2 for group in groups for value in group)
    freedom = PRIOR_WEIGHT + sum(map(len, groups)) - 2
    within = (PRIOR_WEIGHT * (factor * rule.within) ** 2 + squares) / freedom
    between = (factor * rule.between) ** 2 * sum(
        1 / _count_processes(side) for side in (before, windows)
    )
    return math.sqrt(between + within * sum(1 / len(group) for group in groups))


def _processes_confirm(changes: Sequence[float], change: float, margin: float) -> bool:
    """Check that there are several processes and each shows half a margin of the change."""
    return len(changes) >= MIN_CONFIRMING_WINDOWS and all(
        math.copysign(1, change) * process_change > margin / 2 for process_change in changes
    )


def _decide(change: float, error: float, margin: float, *, confirmed: bool) -> CostOutcome:
    """Decide by margin and standard error; a change that is not `confirmed` stays open."""
    if abs(change) > max(margin, Z_THRESHOLD * error):
        return "open" if not confirmed else "worse" if change > 0 else "better"
    return "equivalent" if change + error < margin else "open"


def _why_incomparable(rule: CostMetric, base: Window, new: Window, unit: str, factor: float) -> str:
    """Return why two windows cannot be compared in a metric, or "" if they can."""
    if new.disturbed:
        return new.disturbed
    if rule.unit == "s" and not factor:
        return unit
    limit, new_limit = (
        base.device_state.get("power_limit"),
        new.device_state.get("power_limit"),
    )
    # Time and energy depend on the power limit; memory does not.
    if rule.unit != "B" and None not in (limit, new_limit) and limit != new_limit:
        return f"power limit {limit} W -> {new_limit} W"
    return ""


@dataclass(frozen=True)
class _WindowComparison:
    """The windows to compare: `before` of the baseline and `windows` of this run.

    `same_machine` has this run's windows on the baseline's machine, for times. If it is empty,
    `other_machine` is the reason. `other_workspace` is the reason if cuBLAS had another workspace,
    whose bytes are in every reading of memory; "" otherwise.
    """

    before: Sequence[Window]
    windows: Sequence[Window]
    same_machine: Sequence[Window]
    other_machine: str
    other_workspace: str
    unit: str
    factor: float
    judged: bool

    def compare(self, metric: str) -> CostComparison | None:
        """Compare a metric; return None if the last window did not read it."""
        rule, last = METRICS[metric], self.windows[-1]
        if metric not in last.times and metric not in last.readings:
            return None
        is_time = rule.unit == "s"
        taken = self.same_machine if is_time else self.windows
        value = _mean_reading(taken or self.windows, metric)
        if obstacle := self._why_incomparable(metric, taken):
            return CostComparison(metric, rule.unit, 0.0, value, 0.0, "", "incomparable", obstacle)
        # A machine's speed moves time and energy, but not bytes.
        judged = self.judged or rule.unit == "B"
        factor = self.factor if is_time else 1.0
        change = _log_change(self.before, taken, metric, self.unit)
        error = _standard_error(self.before, taken, metric, self.unit, factor)
        margin = factor * rule.margin
        confirmed = not judged or self._confirmed(metric, taken, change, margin)
        outcome = _decide(change, error, margin, confirmed=confirmed)
        if not judged:
            outcome = "noted" if outcome in ("worse", "better") else "equivalent"
        values = (_mean_reading(self.before, metric), value, math.expm1(change))
        how = self.unit if is_time else "readings"
        process = taken[-1].process
        return CostComparison(
            metric, rule.unit, *values, how, outcome, error=error, judged=judged, process=process
        )

    def _why_incomparable(self, metric: str, taken: Sequence[Window]) -> str:
        """Return why the metric cannot be compared, or "" if it can."""
        rule = METRICS[metric]
        if not _log_readings(self.before, metric):
            return NO_BASELINE_READING
        last = self.windows[-1]
        if obstacle := _why_incomparable(rule, self.before[-1], last, self.unit, self.factor):
            return obstacle
        if rule.unit == "s" and self.other_machine:
            return self.other_machine
        if rule.unit == "B" and self.other_workspace:
            return self.other_workspace
        return "" if _log_readings(taken, metric) else "it read nothing"

    def _confirmed(
        self, metric: str, taken: Sequence[Window], change: float, margin: float
    ) -> bool:
        """Check that several windows, or for a time several processes, show the change."""
        if METRICS[metric].unit != "s":
            return len(_log_readings(taken, metric)) >= MIN_CONFIRMING_WINDOWS
        changes = [
            _log_change(self.before, windows, metric, self.unit) for windows in _by_process(taken)
        ]
        return _processes_confirm(changes, change, margin)


def compare_times(
    baseline: Result, candidate: Result, changes: Sequence[Difference], *, strict: bool = False
) -> list[CostComparison]:
    """Compare the candidate's windows with the baseline's. `open` asks for another window.

    If no software changed, a different time is the machine's: `noted`, unless `strict`.
    """
    windows = undisturbed(candidate.windows) or candidate.windows
    before = undisturbed(baseline.windows)
    device = str(candidate.environment.get("device", "cpu"))
    unit, factor = time_unit(changes, device)
    same_machine, other_machine = list(windows), ""
    if before and factor:
        reasons = [
            why_machine_differs(before, window, unit, device, machine_name(candidate))
            for window in windows
        ]
        same_machine = [
            window for window, reason in zip(windows, reasons, strict=True) if not reason
        ]
        other_machine = "" if same_machine else reasons[-1]
    judged = strict or software_changed(changes)
    other_workspace = next(
        (str(change) for change in changes if change.name == WORKSPACE_ENTRY), ""
    )
    comparison = _WindowComparison(
        before, windows, same_machine, other_machine, other_workspace, unit, factor, judged
    )
    unavailable = windows[-1].unavailable
    comparisons = [not_read(name, unavailable[name]) for name in METRICS if name in unavailable]
    return [*comparisons, *filter(None, map(comparison.compare, METRICS))]


def _log_ratios(rounds: Sequence[tuple[float, float]]) -> list[float]:
    """Return the logarithms of ratios (here to reference), the mean of each two rounds.

    Each side comes first in one of the two, when its caches are other than the second's
    (docs/cost.md).
    """
    logs = [math.log(here / reference) for reference, here in rounds]
    return [fmean(two) for two in zip(logs[::2], logs[1::2], strict=True)]


def _variance_of_median(values: Sequence[float]) -> float:
    """Return the variance of a median by Maritz and Jarrett (1978, JASA 73, 194).

    It assumes no distribution. On a machine with neighbours, some rounds last far longer than the
    others: the values' variance would call the median twice as noisy as it is (docs/cost.md).
    """
    from scipy.stats.mstats import mjci

    center = median(values)
    # Around 0, equal values have no rounding error.
    return float(mjci([value - center for value in values], [0.5])[0]) ** 2


def are_precise(pairs: Mapping[str, Sequence[tuple[float, float]]]) -> bool:
    """Check whether more rounds beside a reference would add little; `pairs` is by metric."""
    return all(
        _variance_of_median(_log_ratios(rounds)) <= PRECISE_VARIANCE * METRICS[metric].between ** 2
        for metric, rounds in pairs.items()
    )


def side_by_side(
    pairs: Mapping[str, Sequence[Sequence[tuple[float, float]]]], process: str = ""
) -> list[CostComparison]:
    """Compare times with a reference's, by metric.

    `pairs` has, for each pair of processes, the seconds (reference, here) of an even number of
    rounds, whose order alternates. Both ran in one window, so seconds compare on any machine.
    `process` names the latest process of this environment, for the pooled test.
    """
    comparisons = []
    for metric, processes in pairs.items():
        rule = METRICS[metric]
        logs = list(map(_log_ratios, processes))
        change = fmean(map(median, logs))
        within = sum(map(_variance_of_median, logs)) / len(logs) ** 2
        error = math.sqrt(2 * rule.between**2 / len(logs) + within)
        confirmed = _processes_confirm([median(ratios) for ratios in logs], change, rule.margin)
        outcome = _decide(change, error, rule.margin, confirmed=confirmed)
        base, new = (
            fmean(median(seconds[side] for seconds in rounds) for rounds in processes)
            for side in (0, 1)
        )
        comparisons.append(
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
    return comparisons


def is_suspicious(comparison: CostComparison) -> bool:
    """Check whether a second pair of processes could confirm a change beside a reference."""
    change = abs(math.log1p(comparison.change))
    least = max(METRICS[comparison.metric].margin / 2, MIN_SUSPICION * comparison.error)
    return comparison.outcome == "open" and change > least


def costs_without_baseline(candidate: Result) -> list[CostComparison]:
    """Return the costs of a candidate without a baseline."""
    values = {
        name: float(value) for name, value in candidate.signature.get("execution", {}).items()
    }
    units = {name: "B" if name.endswith("bytes") else "" for name in values}
    for name, metric in METRICS.items():
        if candidate.windows and (
            name in candidate.windows[-1].times or name in candidate.windows[-1].readings
        ):
            values[name], units[name] = _mean_reading(candidate.windows, name), metric.unit
    return [
        CostComparison(name, units[name], 0.0, value, 0.0, "", "new")
        for name, value in values.items()
    ]


def all_windows_disturbed(candidate: Result) -> bool:
    """Check whether windows were taken and each was disturbed."""
    return bool(candidate.windows) and all(window.disturbed for window in candidate.windows)


# In this process, or in a fresh process that has done nothing else.
WindowPlace = Literal["here", "fresh"]


def next_window(
    baseline: Result | None, candidate: Result, *, update: bool, strict: bool = False
) -> WindowPlace | None:
    """Return where to take another window, or None if none is needed.

    A baseline keeps `BASELINE_WINDOWS`, the last from a fresh process. A comparison takes windows
    until it is settled, the second and third in a fresh process. If no time is judged, one window
    is taken to show its times.
    """
    count = len(candidate.windows)
    if update:
        usable = undisturbed(candidate.windows)
        if len(usable) >= BASELINE_WINDOWS or count >= 2 * BASELINE_WINDOWS:
            return None
        return "fresh" if len(usable) == BASELINE_WINDOWS - 1 else "here"
    if baseline is None or not count:
        return None if count else "here"
    changes = differences(baseline.environment, candidate.environment)
    comparisons = compare_times(baseline, candidate, changes, strict=strict)
    if count >= MAX_WINDOWS or not (
        _any_open(comparisons) or _should_retake(comparisons, candidate)
    ):
        return None
    return "fresh" if count in (1, 2) and undisturbed(candidate.windows) else "here"


def _any_open(comparisons: Sequence[CostComparison]) -> bool:
    return any(comparison.outcome == "open" for comparison in comparisons)


def _should_retake(comparisons: Sequence[CostComparison], candidate: Result) -> bool:
    """Check whether every window was disturbed and an undisturbed one could be judged."""
    return all_windows_disturbed(candidate) and any(
        comparison.note == candidate.windows[-1].disturbed for comparison in comparisons
    )


def _mean_reading(windows: Sequence[Window], metric: str) -> float:
    """Return the mean over the windows that read a metric: seconds, bytes or joules."""
    values = [
        window.times[metric][0] if metric in window.times else window.readings.get(metric)
        for window in windows
    ]
    return fmean(value for value in values if value is not None)
