"""How far a case's scores scatter between seeds: learned from its baseline, and from those of all cases of its suite.

The variance of a few seeds is itself little known, so the cases of a suite lend each other theirs: a scaled inverse
chi-square prior, fitted to all of them, counts as so many more observations of each (Smyth 2004,
doi:10.2202/1544-6115.1027, section 6.2).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from pytest_ftcompare.results.result import Result

SCORE_METRICS = {
    "accuracy": "test",
    "accuracy_ood": "ood",
}  # metric -> the split whose rows it is the share of
MIN_PRIOR_CASES = 6  # cases from which a prior is learned
MAX_PRIOR_FREEDOM = 30.0  # observations that it counts as at most


@dataclass(frozen=True)
class VarianceEstimate:
    """A variance and the observations (degrees of freedom) that it rests on."""

    variance: float
    freedom: float

    def combined(self, other: VarianceEstimate) -> VarianceEstimate:
        """Both together, each by its weight."""
        freedom = self.freedom + other.freedom
        return (
            VarianceEstimate(
                (self.variance * self.freedom + other.variance * other.freedom) / freedom, freedom
            )
            if freedom
            else self
        )


DEFAULT_PRIOR = VarianceEstimate(0.02**2, 4.0)  # of a suite with too few cases to learn from


def estimate_variance(values: Sequence[float]) -> VarianceEstimate:
    """The sample variance; of a single value nothing is known."""
    return (
        VarianceEstimate(variance(values), len(values) - 1.0)
        if len(values) > 1
        else VarianceEstimate(0.0, 0.0)
    )


def sd(values: Sequence[float]) -> float:
    """Sample SD, zero for a single value."""
    return math.sqrt(estimate_variance(values).variance)


def fit_prior(spreads: Iterable[VarianceEstimate]) -> VarianceEstimate:
    """The prior that best explains how the cases' own variances scatter; `PRIOR` where they are too few."""
    from scipy import optimize, special  # a second to import: not while cases are collected

    known = [one for one in spreads if one.variance > 0 and one.freedom > 0]
    if len(known) < MIN_PRIOR_CASES:
        return DEFAULT_PRIOR
    logs = [
        math.log(one.variance) - special.digamma(one.freedom / 2) + math.log(one.freedom / 2)
        for one in known
    ]
    excess = variance(logs) - fmean(float(special.polygamma(1, one.freedom / 2)) for one in known)
    if excess <= special.polygamma(
        1, MAX_PRIOR_FREEDOM / 2
    ):  # the cases' variances differ no more than chance makes them
        freedom = MAX_PRIOR_FREEDOM
    else:
        freedom = 2 * float(
            optimize.brentq(
                lambda half: special.polygamma(1, half) - excess, 1e-3, MAX_PRIOR_FREEDOM / 2
            )
        )
    return VarianceEstimate(
        math.exp(fmean(logs) + special.digamma(freedom / 2) - math.log(freedom / 2)), freedom
    )


def fit_priors(baselines: Sequence[Result]) -> dict[str, VarianceEstimate]:
    """What the baselines of a suite say of each metric's noise."""
    return {
        metric: fit_prior(
            estimate_variance([sample.metrics[metric] for sample in one.seed_results])
            for one in baselines
            if one.judge_accuracy and all(metric in sample.metrics for sample in one.seed_results)
        )
        for metric in SCORE_METRICS
    }
