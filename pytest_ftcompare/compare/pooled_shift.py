"""Shifts of a whole session: one sign over many cases, each too small to be seen alone.

The shift of each case, in units of its own noise, is averaged with weights of their precision. Cases that draw the same
training rows err together: within such a group errors correlate by `TOGETHER`, or by `UNPAIRED` where the baseline's seeds drew
other rows; between groups by `APART`: measured on the bank (docs/statistics.md). Cases that scatter more than their errors say
widen the interval (Birge's ratio).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from statistics import fmean
from typing import Literal

from pytest_ftcompare.compare.measured_cost import MIN_CONFIRMING_WINDOWS
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.results.cost_metrics import METRICS

MIN_CASES = 4  # cases below which nothing is pooled
Z_THRESHOLD = 3.5  # standard errors that a pooled shift must be away from none
CORRELATION_SAME_ROWS = 0.1  # correlation of the errors of two cases that draw the same training rows, paired by them with their baselines
CORRELATION_UNPAIRED = 0.2  # of two cases that draw the same rows, other ones than their baselines
CORRELATION_OTHER_ROWS = 0.02  # of cases that draw different rows
MIN_PAIRED_CORRELATION = 0.1  # correlation of a seed's two runs above which they share rows
MIN_POOLED_SHIFT = 0.1  # pooled shift of accuracy, in units of the cases' noise, below which it is not worth a word
TIME_THRESHOLDS = {
    name: metric.pooled for name, metric in METRICS.items() if metric.pooled
}  # see CostMetric
SESSION_TIME_SD = 0.004  # SD of what all times of a session share, as a logarithm
ONE_PROCESS = "one process alone shows it: run with -n 2"

ShiftOutcome = Literal["worse", "better", "none", "noted"]


@dataclass(frozen=True)
class PooledShift:
    """The pooled shift of one metric over `cases` cases: `mean` with `low` and `high`, its interval of `Z_THRESHOLD` errors.

    Accuracies are shares; times are relative changes. `size` is the mean in units of the cases' noise (accuracies only).
    """

    metric: str
    cases: int
    lower: int  # cases whose own shift is below zero
    mean: float
    low: float
    high: float
    size: float
    z: float
    outcome: ShiftOutcome
    note: str = ""  # why it is only noted, where something changed that could have moved it

    @property
    def sentence(self) -> str:
        """ "accuracy is 1.7 points lower on average over 36 cases (35 of them lower; 8.1 standard errors)"."""
        points = self.metric.startswith("accuracy")
        scale, unit = (100.0, "points" if points else "%")
        up, down = ("higher", "lower") if points else ("slower", "faster")
        word = up if self.mean > 0 else down
        agree = self.lower if self.mean < 0 else self.cases - self.lower
        name = self.metric.replace("_ood", " out of domain")
        return (
            f"{name} is {scale * abs(self.mean):.1f} {unit} {word} on average over {self.cases} cases "
            f"({agree} of them {word}; {abs(self.z):.1f} standard errors)"
        )


@dataclass(frozen=True)
class _CaseShift:
    """A case's part in a pooled shift: its size and variance in the unit that is pooled, its shift in the metric's own."""

    group: str
    size: float
    variance: float
    shift: float
    correlation: float = CORRELATION_SAME_ROWS
    process: str = ""


def _weighted_average(parts: Sequence[_CaseShift], together: float) -> tuple[float, float, float]:
    """Weighted mean size, its variance, and mean shift, of parts whose errors correlate by `together`."""
    weights = [1 / one.variance for one in parts]
    total = sum(weights)
    own = sum(w * w * one.variance for w, one in zip(weights, parts, strict=True))
    cross = (
        sum(w * math.sqrt(one.variance) for w, one in zip(weights, parts, strict=True)) ** 2 - own
    )
    mean = sum(w * one.size for w, one in zip(weights, parts, strict=True)) / total
    shift = sum(w * one.shift for w, one in zip(weights, parts, strict=True)) / total
    return mean, (own + together * cross) / total**2, shift


def _pool_metric(
    metric: str, parts: Sequence[_CaseShift], worst: int, least: float, drift: float = 0.0
) -> PooledShift:
    """Average within groups, then over groups; `worst` is the sign of what is bad."""
    ordered = sorted(parts, key=lambda one: one.group)
    groups = []
    for _, group in groupby(ordered, key=lambda one: one.group):
        cases = list(group)
        groups.append(_weighted_average(cases, max(one.correlation for one in cases)))
    mean, variance, shift = _weighted_average(
        [_CaseShift("", size, v, moved) for size, v, moved in groups], CORRELATION_OTHER_ROWS
    )
    spread = sum((one.size - mean) ** 2 / one.variance for one in parts) / (len(parts) - 1)
    error = math.sqrt(variance * max(1.0, spread) + drift**2)
    z = mean / error
    moved = abs(z) > Z_THRESHOLD and abs(mean) > least
    outcome: ShiftOutcome = "none" if not moved else "worse" if z * worst > 0 else "better"
    half = abs(shift / mean) * error * Z_THRESHOLD if mean else 0.0
    lower = sum(one.shift < 0 for one in parts)
    return PooledShift(
        metric, len(parts), lower, shift, shift - half, shift + half, mean, z, outcome
    )


def _score_shifts(verdicts: Iterable[CaseVerdict]) -> Mapping[str, list[_CaseShift]]:
    found: dict[str, list[_CaseShift]] = {}
    for one in verdicts:
        if not one.judge_accuracy or one.identical:
            continue
        for each in one.comparisons:
            if each.error:
                size, variance = each.delta / each.noise, (each.error / each.noise) ** 2
                together = (
                    CORRELATION_SAME_ROWS
                    if each.rho > MIN_PAIRED_CORRELATION
                    else CORRELATION_UNPAIRED
                )
                part = _CaseShift(one.id.split("-", 1)[-1], size, variance, each.delta, together)
                found.setdefault(each.metric, []).append(part)
    return found


def _time_shifts(
    verdicts: Iterable[CaseVerdict], *, judged: bool
) -> Mapping[str, list[_CaseShift]]:
    """The parts of times that are judged, or of those that nothing changed in the software could move."""
    found: dict[str, list[_CaseShift]] = {}
    for one in verdicts:
        for each in one.costs:
            if each.metric in TIME_THRESHOLDS and each.error and each.judged == judged:
                change = math.log1p(each.change)
                found.setdefault(each.metric, []).append(
                    _CaseShift(one.id, change, each.error**2, change, process=each.process)
                )
    return found


def _confirmed(shift: PooledShift, parts: Sequence[_CaseShift], least: float) -> bool:
    """Whether the cases of other processes than the one that timed most show half of what counts, too.

    A process may be slow by itself, and with it all cases that it timed.
    """
    most, _ = Counter(part.process for part in parts).most_common(1)[0]
    others = [part.shift for part in parts if part.process != most]
    return (
        len(others) >= MIN_CONFIRMING_WINDOWS
        and math.copysign(1, shift.mean) * fmean(others) > least / 2
    )


def pool_shifts(verdicts: Sequence[CaseVerdict]) -> list[PooledShift]:
    """The pooled shifts of a session, of metrics that moved in at least `LEAST` cases; identical cases are not among them."""
    shifts = [
        _pool_metric(metric, parts, -1, MIN_POOLED_SHIFT)
        for metric, parts in _score_shifts(verdicts).items()
        if len(parts) >= MIN_CASES
    ]
    for judged in (True, False):
        for metric, parts in _time_shifts(verdicts, judged=judged).items():
            if len(parts) >= MIN_CASES:
                shift = _pool_metric(metric, parts, 1, TIME_THRESHOLDS[metric], SESSION_TIME_SD)
                if shift.outcome != "none" and not (
                    judged and _confirmed(shift, parts, TIME_THRESHOLDS[metric])
                ):
                    shift = replace(shift, outcome="noted", note=ONE_PROCESS if judged else "")
                shifts.append(shift)
    return shifts
