"""Pool the shifts of a session: find a small change that many cases share.

The shift of each case, in units of its own noise, is averaged with the weight of its precision.
Errors of two cases correlate, more if both draw the same training rows. The interval is wider if
cases scatter more than their errors (Birge's ratio). `session_verdict.py` calls it;
docs/statistics.md has the measured error rates.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from statistics import fmean
from typing import Literal

from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.results.allowance import CaseAllowance
from pytest_ftcompare.results.cost_metrics import METRICS

# Cases below which nothing is pooled. Chosen. Raising it finds nothing in small sessions.
MIN_CASES = 4
# Standard errors of a real shift. Chosen; docs/statistics.md has the measured error rates. Raising
# it finds fewer losses.
Z_THRESHOLD = 3.5
# Correlation of the errors of two cases, measured on the bank of trainings in docs/bank. Raising
# one widens the interval. First, two cases with the same training rows, paired with their
# baselines.
CORRELATION_SAME_ROWS = 0.1
# Two cases with the same training rows, which are not their baselines'.
CORRELATION_UNPAIRED = 0.2
# Two cases with different training rows.
CORRELATION_OTHER_ROWS = 0.02
# Correlation of a seed's two runs above which they share rows. Chosen. Raising it treats more cases
# as unpaired.
MIN_PAIRED_CORRELATION = 0.1
# Pooled shift of accuracy that matters, in units of the cases' noise. Chosen. Raising it ignores
# larger shifts.
MIN_POOLED_SHIFT = 0.1
# metric -> pooled relative change of time that matters (`CostMetric.pooled`)
TIME_THRESHOLDS = {name: metric.pooled for name, metric in METRICS.items() if metric.pooled}
# SD of the logarithm of what all times of a session share. Chosen. Raising it finds fewer
# slowdowns.
SESSION_TIME_SD = 0.004
# Cases timed by other processes that must confirm a shift of times. Chosen. Raising it confirms
# fewer shifts.
MIN_CONFIRMING_CASES = 2
# Note of a shift that no other process confirmed.
ONE_PROCESS = "one process alone shows it: run with -n 2"

ShiftOutcome = Literal["worse", "better", "none", "noted"]


@dataclass(frozen=True)
class PooledShift:
    """The pooled shift of one metric over `cases` cases.

    `mean`, `low` and `high` are shares for accuracies and logarithms of ratios for times. The
    interval is `Z_THRESHOLD` standard errors wide on each side. `size` is the mean in units of the
    cases' noise for accuracies, and `mean` for times.
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
    note: str = ""  # why it is only noted, although something changed that could move it

    @property
    def sentence(self) -> str:
        """The shift in words.

        For example "accuracy is 1.7 points lower on average over 36 cases (35 of them lower; 8.1
        standard errors)".
        """
        points = self.metric.startswith("accuracy")
        change = self.mean if points else math.expm1(self.mean)
        unit = "points" if points else "%"
        up, down = ("higher", "lower") if points else ("slower", "faster")
        direction = up if self.mean > 0 else down
        agree = self.lower if self.mean < 0 else self.cases - self.lower
        name = self.metric.replace("_ood", " out of domain")
        return (
            f"{name} is {100 * abs(change):.1f} {unit} {direction} on average over "
            f"{self.cases} cases ({agree} of them {direction}; {abs(self.z):.1f} standard errors)"
        )


@dataclass(frozen=True)
class _CaseShift:
    """A case's shift: `size` and `variance` in the pooled unit, `shift` in the metric's unit.

    Cases of a `group` draw the same training rows.
    """

    group: str
    size: float
    variance: float
    shift: float
    correlation: float = CORRELATION_SAME_ROWS
    process: str = ""


def _weighted_average(
    case_shifts: Sequence[_CaseShift], correlation: float
) -> tuple[float, float, float]:
    """Return the weighted mean size, its variance and the mean shift.

    The errors of any two cases correlate by `correlation`.
    """
    weights = [1 / case.variance for case in case_shifts]
    total = sum(weights)
    independent = sum(
        weight * weight * case.variance for weight, case in zip(weights, case_shifts, strict=True)
    )
    cross = (
        sum(
            weight * math.sqrt(case.variance)
            for weight, case in zip(weights, case_shifts, strict=True)
        )
        ** 2
        - independent
    )
    mean = (
        sum(weight * case.size for weight, case in zip(weights, case_shifts, strict=True)) / total
    )
    shift = (
        sum(weight * case.shift for weight, case in zip(weights, case_shifts, strict=True)) / total
    )
    return mean, (independent + correlation * cross) / total**2, shift


def _pool_metric(
    metric: str,
    case_shifts: Sequence[_CaseShift],
    bad_sign: int,
    threshold: float,
    session_sd: float = 0.0,
) -> PooledShift:
    """Average within groups, then over groups.

    `bad_sign` is the sign of a loss: -1 for accuracies, 1 for times.
    """
    ordered = sorted(case_shifts, key=lambda case: case.group)
    groups = []
    for _, group in groupby(ordered, key=lambda case: case.group):
        cases = list(group)
        groups.append(_weighted_average(cases, max(case.correlation for case in cases)))
    mean, variance, shift = _weighted_average(
        [
            _CaseShift("", size, group_variance, group_shift)
            for size, group_variance, group_shift in groups
        ],
        CORRELATION_OTHER_ROWS,
    )
    spread = sum((case.size - mean) ** 2 / case.variance for case in case_shifts) / (
        len(case_shifts) - 1
    )
    error = math.sqrt(variance * max(1.0, spread) + session_sd**2)
    z = mean / error
    significant = abs(z) > Z_THRESHOLD and abs(mean) > threshold
    outcome: ShiftOutcome = "none" if not significant else "worse" if z * bad_sign > 0 else "better"
    half_width = abs(shift / mean) * error * Z_THRESHOLD if mean else 0.0
    lower = sum(case.shift < 0 for case in case_shifts)
    return PooledShift(
        metric,
        len(case_shifts),
        lower,
        shift,
        shift - half_width,
        shift + half_width,
        mean,
        z,
        outcome,
    )


def _score_shifts(verdicts: Iterable[CaseVerdict]) -> Mapping[str, list[_CaseShift]]:
    """Return the shifts of judged accuracies by metric, without identical cases."""
    shifts: dict[str, list[_CaseShift]] = {}
    for verdict in verdicts:
        if not verdict.judge_accuracy or verdict.identical:
            continue
        for comparison in verdict.comparisons:
            if comparison.error:
                size, variance = (
                    comparison.delta / comparison.noise,
                    (comparison.error / comparison.noise) ** 2,
                )
                correlation = (
                    CORRELATION_SAME_ROWS
                    if comparison.rho > MIN_PAIRED_CORRELATION
                    else CORRELATION_UNPAIRED
                )
                group = verdict.training_rows or verdict.id.split("-", 1)[-1]
                case_shift = _CaseShift(group, size, variance, comparison.delta, correlation)
                shifts.setdefault(comparison.metric, []).append(case_shift)
    return shifts


def _time_shifts(
    verdicts: Iterable[CaseVerdict], *, judged: bool
) -> Mapping[str, list[_CaseShift]]:
    """Return the shifts of times by metric: of those that are judged, or of the others."""
    shifts: dict[str, list[_CaseShift]] = {}
    for verdict in verdicts:
        for cost in verdict.costs:
            if cost.metric in TIME_THRESHOLDS and cost.error and cost.judged == judged:
                change = math.log1p(cost.change)
                shifts.setdefault(cost.metric, []).append(
                    _CaseShift(verdict.id, change, cost.error**2, change, process=cost.process)
                )
    return shifts


def _confirmed(shift: PooledShift, case_shifts: Sequence[_CaseShift], threshold: float) -> bool:
    """Check that cases timed by other processes show half of the threshold on average.

    The process that timed most cases may be slow by itself, so its own cases do not count.
    """
    largest, _ = Counter(case.process for case in case_shifts).most_common(1)[0]
    others = [case.shift for case in case_shifts if case.process != largest]
    return (
        len(others) >= MIN_CONFIRMING_CASES
        and math.copysign(1, shift.mean) * fmean(others) > threshold / 2
    )


def _without_allowed(verdict: CaseVerdict) -> CaseVerdict:
    """Return the verdict without the metrics that an allowance names, within their limits.

    Beyond its limit, or after its last day, an allowance leaves nothing out.
    """
    allowed = {
        allowance.what
        for allowance in verdict.allowances
        if allowance.valid and _is_within(allowance, verdict)
    }
    return replace(
        verdict,
        comparisons=[
            comparison for comparison in verdict.comparisons if comparison.metric not in allowed
        ],
        costs=[cost for cost in verdict.costs if cost.metric not in allowed],
    )


def _is_within(allowance: CaseAllowance, verdict: CaseVerdict) -> bool:
    """Check whether a case's change is within the limit, settled or not."""
    sizes = {comparison.metric: -comparison.delta for comparison in verdict.comparisons}
    sizes |= {cost.metric: cost.change for cost in verdict.costs}
    return allowance.what in sizes and allowance.permits(sizes[allowance.what])


def pool_shifts(
    verdicts: Sequence[CaseVerdict], *, leave_out_allowed: bool = False
) -> list[PooledShift]:
    """Return the pooled shifts of the metrics that at least `MIN_CASES` cases have.

    An identical case has no shift of accuracy. With `leave_out_allowed`, a case is not pooled in a
    metric that it may lose by an allowance.
    """
    if leave_out_allowed:
        verdicts = [_without_allowed(verdict) for verdict in verdicts]
    shifts = [
        _pool_metric(metric, case_shifts, -1, MIN_POOLED_SHIFT)
        for metric, case_shifts in _score_shifts(verdicts).items()
        if len(case_shifts) >= MIN_CASES
    ]
    for judged in (True, False):
        for metric, case_shifts in _time_shifts(verdicts, judged=judged).items():
            if len(case_shifts) >= MIN_CASES:
                shift = _pool_metric(
                    metric, case_shifts, 1, TIME_THRESHOLDS[metric], SESSION_TIME_SD
                )
                if shift.outcome != "none" and not (
                    judged and _confirmed(shift, case_shifts, TIME_THRESHOLDS[metric])
                ):
                    shift = replace(shift, outcome="noted", note=ONE_PROCESS if judged else "")
                shifts.append(shift)
    return shifts
