"""The test of an outcome: how far a metric of a case moved, how well that is known, and whether the question is settled.

Scores of m baseline seeds and n new ones have the variance s^2 of the case; the two runs of a seed correlate by rho
(`pairing`). The shift is the best linear unbiased estimate of the difference of means under that covariance, so seeds without
a partner count for what they are worth. s^2 comes from the baseline, the suite's prior and the new seeds together (`noise`);
the shift over its standard error is a t statistic. docs/statistics.md has the mathematics and the measured error rates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from pytest_ftcompare.compare.noise import VarianceEstimate, estimate_variance, sd
from pytest_ftcompare.compare.pairing import PairKey

LOOKS = (1, 2, 3, 5, 8, 12, 16)  # numbers of seeds after which the question is asked
ALPHA = (
    0.008  # of calling any case of a session worse, or any better, that is not: shared by its tests
)
MIN_SEEDS_TO_REJECT = 5  # seeds below which nothing is called worse or better
CONFIRMATION_ALPHA = (
    0.05  # one-sided p that the seeds since the look before must reach by themselves
)
MODEL_PAIRS = (
    10.0  # pairs that the variance of a difference expected from noise and correlation counts for
)
EQUIVALENCE_MARGIN_SD = (
    2.0  # a shift of so many times the noise must be rejected before a case is left alone
)
EQUIVALENCE_ALPHA = 0.05  # p at which it is
MAX_STANDARD_ERROR = 0.6  # standard error, in units of the noise, above which nothing is settled
MIN_SHIFT = 0.01  # the smallest shift that matters, as a share of test rows

ScoreOutcome = Literal["worse", "better", "equivalent", "open"]


@dataclass(frozen=True)
class ScoreComparison:
    """One metric: means, SD between seeds, the shift `delta` with its standard error, one-sided p in its direction.

    `new` is `base` + `delta`: what the baseline's own seeds would have given. `noise` is the SD of one seed, `rho` the
    correlation of a seed's two runs, `margin` the shift that must be rejected for the case to be left alone.
    """

    metric: str
    base: float
    base_sd: float
    new: float
    new_sd: float
    delta: float
    error: float
    noise: float
    freedom: float
    rho: float
    p: float
    margin: float
    seeds: int
    outcome: ScoreOutcome


def estimate_shift(
    base: Mapping[PairKey, float], new: Mapping[PairKey, float], rho: float
) -> tuple[float, float, float]:
    """Estimated mean of `base`, shift of `new` against it, and the shift's variance in units of one score's variance.

    Generalised least squares over pairs that correlate by `rho` and scores without a partner.
    """
    both = base.keys() & new.keys()
    pairs = len(both) / (1 - rho**2)  # information of the pairs on either mean
    xx, yy, xy = pairs + len(base) - len(both), pairs + len(new) - len(both), -rho * pairs
    x, y = sum(base[one] for one in both), sum(new[one] for one in both)
    alone = (
        sum(value for one, value in base.items() if one not in both),
        sum(v for one, v in new.items() if one not in both),
    )
    right = (x - rho * y) / (1 - rho**2) + alone[0], (y - rho * x) / (1 - rho**2) + alone[1]
    determinant = xx * yy - xy**2
    mean = (yy * right[0] - xy * right[1]) / determinant
    other = (xx * right[1] - xy * right[0]) / determinant
    return mean, other - mean, (xx + yy + 2 * xy) / determinant


def compare_scores(
    metric: str,
    base: Mapping[PairKey, float],
    new: Mapping[PairKey, float],
    *,
    rho: float,
    prior: VarianceEstimate,
    alpha_share: float = 1.0,
) -> ScoreComparison:
    """Compare scores by seed, the new ones in the order in which they were trained.

    `known` is what is known of the noise besides these scores; `share` this test's part of the session's error rate.
    """
    from scipy import special  # not while cases are collected

    scores = list(new.values())
    noise = prior.combined(estimate_variance(list(base.values()))).combined(
        estimate_variance(scores)
    )
    size, freedom = math.sqrt(noise.variance), max(noise.freedom, 1.0)
    mean, delta, variance = estimate_shift(base, new, rho)
    modelled = size * math.sqrt(variance)
    error = modelled * math.sqrt(_scatter_ratio(base, new, noise.variance * 2 * (1 - rho)))
    p = float(special.stdtr(freedom, -abs(delta) / error)) if error else 0.5 if not delta else 0.0
    margin = max(EQUIVALENCE_MARGIN_SD * size, 2 * MIN_SHIFT)
    outcome: ScoreOutcome = "open"
    if (
        p < ALPHA * alpha_share * alpha_spent(len(new))
        and abs(delta) > MIN_SHIFT
        and _confirmed(base, new, size, freedom, delta)
    ):
        outcome = "worse" if delta < 0 else "better"
    elif (
        modelled <= max(MAX_STANDARD_ERROR * size, MIN_SHIFT / 2)
        and margin - abs(delta) > special.stdtrit(freedom, 1 - EQUIVALENCE_ALPHA) * modelled
    ):
        outcome = "equivalent"
    return ScoreComparison(
        metric,
        mean,
        sd(list(base.values())),
        mean + delta,
        sd(scores),
        delta,
        error,
        size,
        freedom,
        rho,
        p,
        margin,
        len(new),
        outcome,
    )


def _scatter_ratio(
    base: Mapping[PairKey, float], new: Mapping[PairKey, float], expected: float
) -> float:
    """How far the pairs' differences scatter, as a share of the variance expected: one that repeats is better known."""
    pairs = [new[one] - base[one] for one in base.keys() & new.keys()]
    if len(pairs) < 2 or not expected:
        return 1.0
    return (MODEL_PAIRS + estimate_variance(pairs).variance * (len(pairs) - 1) / expected) / (
        MODEL_PAIRS + len(pairs) - 1
    )


def alpha_spent(count: int) -> float:
    """The part of a test's error rate that may be used with so many seeds: the later looks, which know more, have more."""
    convicting = [one for one in LOOKS if one >= MIN_SEEDS_TO_REJECT]
    return min(count, max(convicting)) ** 2 / sum(one**2 for one in convicting)


def _confirmed(
    base: Mapping[PairKey, float],
    new: Mapping[PairKey, float],
    size: float,
    freedom: float,
    delta: float,
) -> bool:
    """Whether the seeds since the look before say by themselves what all of them say."""
    from scipy import special

    if len(new) < MIN_SEEDS_TO_REJECT:
        return False
    before = max(one for one in LOOKS if one < len(new))
    fresh = list(new.values())[before:]
    shift = fmean(fresh) - fmean(base.values())
    error = size * math.sqrt(1 / len(fresh) + 1 / len(base))
    return (
        shift * delta > 0 and abs(shift) > special.stdtrit(freedom, 1 - CONFIRMATION_ALPHA) * error
    )


def next_look(count: int, limit: int) -> int | None:
    """The number of seeds at which to ask again after `count`, None where the limit is reached."""
    later = [one for one in LOOKS if one > count]
    return min(later[0], limit) if later and count < limit else None


def error_share(cases: int, metrics: Sequence[str] | Mapping[str, str]) -> float:
    """Each test's part of the error rate of a session of so many judged cases."""
    return 1 / max(1, cases * len(metrics))
