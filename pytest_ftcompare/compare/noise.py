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

METRICS = {"accuracy": "test", "accuracy_ood": "ood"}  # metric -> the split whose rows it is the share of
LEAST = 6  # cases from which a prior is learned
MOST = 30.0  # observations that it counts as at most


@dataclass(frozen=True)
class Spread:
    """A variance and the observations (degrees of freedom) that it rests on."""

    variance: float
    freedom: float

    def joined(self, other: Spread) -> Spread:
        """Both together, each by its weight."""
        freedom = self.freedom + other.freedom
        return Spread((self.variance * self.freedom + other.variance * other.freedom) / freedom, freedom) if freedom else self


PRIOR = Spread(0.02**2, 4.0)  # of a suite with too few cases to learn from


def spread(values: Sequence[float]) -> Spread:
    """The sample variance; of a single value nothing is known."""
    return Spread(variance(values), len(values) - 1.0) if len(values) > 1 else Spread(0.0, 0.0)


def sd(values: Sequence[float]) -> float:
    """Sample SD, zero for a single value."""
    return math.sqrt(spread(values).variance)


def learn(spreads: Iterable[Spread]) -> Spread:
    """The prior that best explains how the cases' own variances scatter; `PRIOR` where they are too few."""
    from scipy import optimize, special  # a second to import: not while cases are collected

    known = [one for one in spreads if one.variance > 0 and one.freedom > 0]
    if len(known) < LEAST:
        return PRIOR
    logs = [math.log(one.variance) - special.digamma(one.freedom / 2) + math.log(one.freedom / 2) for one in known]
    excess = variance(logs) - fmean(float(special.polygamma(1, one.freedom / 2)) for one in known)
    if excess <= special.polygamma(1, MOST / 2):  # the cases' variances differ no more than chance makes them
        freedom = MOST
    else:
        freedom = 2 * float(optimize.brentq(lambda half: special.polygamma(1, half) - excess, 1e-3, MOST / 2))
    return Spread(math.exp(fmean(logs) + special.digamma(freedom / 2) - math.log(freedom / 2)), freedom)


def priors(baselines: Sequence[Result]) -> dict[str, Spread]:
    """What the baselines of a suite say of each metric's noise."""
    return {
        metric: learn(
            spread([sample.metrics[metric] for sample in one.samples])
            for one in baselines
            if one.outcome and all(metric in sample.metrics for sample in one.samples)
        )
        for metric in METRICS
    }
