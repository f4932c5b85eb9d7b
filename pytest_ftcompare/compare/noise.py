"""Estimate how far a case's scores scatter between seeds, from its suite's baselines.

A few seeds give a poor variance, so the cases of a suite share theirs. A scaled inverse chi-square
prior is fitted to all of them and counts as further degrees of freedom of each case (Smyth 2004,
doi:10.2202/1544-6115.1027, section 6.2). `verdict.py` and the gate call it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from pytest_ftcompare.results.result import Result

# metric -> the split with the rows that the metric scores
SCORE_METRICS = {"accuracy": "test", "accuracy_ood": "ood"}
# Cases with a known variance from which a prior is fitted. Chosen. With fewer, `DEFAULT_PRIOR`
# stands; raising it uses the default in larger suites.
MIN_PRIOR_CASES = 6
# Degrees of freedom that the prior counts as, at most. Chosen. Raising it lets a suite with equal
# variances outweigh a case's own seeds more.
MAX_PRIOR_FREEDOM = 30.0


@dataclass(frozen=True)
class VarianceEstimate:
    """A variance with its degrees of freedom."""

    variance: float
    freedom: float

    def combined(self, other: VarianceEstimate) -> VarianceEstimate:
        """Return the mean of both variances, weighted by degrees of freedom."""
        freedom = self.freedom + other.freedom
        return (
            VarianceEstimate(
                (self.variance * self.freedom + other.variance * other.freedom) / freedom, freedom
            )
            if freedom
            else self
        )


# Prior of a suite with too few cases: an SD of 2 points, with 4 degrees of freedom. Chosen.
DEFAULT_PRIOR = VarianceEstimate(0.02**2, 4.0)


def estimate_variance(values: Sequence[float]) -> VarianceEstimate:
    """Return the sample variance; a single value has no degrees of freedom."""
    return (
        VarianceEstimate(variance(values), len(values) - 1.0)
        if len(values) > 1
        else VarianceEstimate(0.0, 0.0)
    )


def sd(values: Sequence[float]) -> float:
    """Return the sample SD, zero for a single value."""
    return math.sqrt(estimate_variance(values).variance)


def fit_prior(estimates: Iterable[VarianceEstimate]) -> VarianceEstimate:
    """Fit the prior to the cases' variances; return `DEFAULT_PRIOR` if they are too few.

    Match mean and variance of the log variances, as Smyth (2004) does.
    """
    # Imported here, because it takes a second that collecting cases should not.
    from scipy import optimize, special

    known = [estimate for estimate in estimates if estimate.variance > 0 and estimate.freedom > 0]
    if len(known) < MIN_PRIOR_CASES:
        return DEFAULT_PRIOR
    logs = [
        math.log(estimate.variance)
        - special.digamma(estimate.freedom / 2)
        + math.log(estimate.freedom / 2)
        for estimate in known
    ]
    excess = variance(logs) - fmean(
        float(special.polygamma(1, estimate.freedom / 2)) for estimate in known
    )
    # True if the cases' variances differ no more than by chance.
    if excess <= special.polygamma(1, MAX_PRIOR_FREEDOM / 2):
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
    """Fit a prior for each metric to the baselines of a suite."""
    return {
        metric: fit_prior(
            estimate_variance([seed_result.metrics[metric] for seed_result in result.seed_results])
            for result in baselines
            if result.judge_accuracy
            and all(metric in seed_result.metrics for seed_result in result.seed_results)
        )
        for metric in SCORE_METRICS
    }
