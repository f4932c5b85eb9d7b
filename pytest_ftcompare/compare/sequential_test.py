"""Test an outcome: estimate a metric's shift and decide whether the question is settled.

Scores of m baseline seeds and n new seeds have the case's variance s^2. The two runs of a seed
correlate by rho (`pairing.py`). The shift is the generalised least squares estimate of the
difference of means, so seeds without a partner count, too. s^2 comes from the baseline, the suite's
prior and the new seeds together (`noise.py`). The shift over its standard error is a t statistic.
docs/statistics.md has the formulas and the measured error rates. `verdict.py` calls it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from pytest_ftcompare.compare.noise import VarianceEstimate, estimate_variance, sd
from pytest_ftcompare.compare.pairing import PairKey

# Numbers of seeds after which the test may stop. Chosen. More looks share the error rate.
LOOKS = (1, 2, 3, 5, 8, 12, 16)
# One-sided error rate of a session: of calling any case worse that is not, and the same for better.
# Its tests share it. Chosen; docs/statistics.md has the measured rates. Raising it gives more false
# alarms.
ALPHA = 0.008
# Seeds below which no case is called worse or better. Chosen. Raising it makes findings slower.
MIN_SEEDS_TO_REJECT = 5
# One-sided p that the seeds since the previous look must reach alone. Chosen. Raising it confirms
# more suspicions.
CONFIRMATION_ALPHA = 0.05
# Pairs that the expected variance of a difference counts as, beside the pairs' own scatter. Chosen.
# Raising it trusts noise and correlation more than the scatter.
MODEL_PAIRS = 10.0
# Shift, in units of the noise, that must be rejected to call a case equivalent. Chosen. Raising it
# misses larger losses.
EQUIVALENCE_MARGIN_SD = 2.0
# One-sided p at which it is rejected. Chosen. Raising it misses more losses.
EQUIVALENCE_ALPHA = 0.05
# Standard error, in units of the noise, above which no case is equivalent. Chosen. Raising it
# settles cases with fewer seeds.
MAX_STANDARD_ERROR = 0.6
# Smallest shift that matters, as a share of test rows. Chosen. Raising it ignores larger shifts.
MIN_SHIFT = 0.01

ScoreOutcome = Literal["worse", "better", "equivalent", "open"]


@dataclass(frozen=True)
class ScoreComparison:
    """One metric of a case against its baseline. Scores are shares of test rows.

    `new` is `base` + `delta`, the mean that the baseline's own seeds would have given. `error` is
    the standard error of `delta`, and `p` its one-sided p in its direction. `noise` is the SD of
    one seed, with `freedom` degrees of freedom. `rho` is the correlation of a seed's two runs.
    `margin` is the shift that must be rejected to call the metric equivalent.
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
    """Return the mean of `base`, the shift of `new`, and the shift's variance over the noise's.

    Generalised least squares over pairs that correlate by `rho` and scores without a partner.
    """
    both = base.keys() & new.keys()
    # Information of the pairs about either mean.
    pairs = len(both) / (1 - rho**2)
    xx, yy, xy = pairs + len(base) - len(both), pairs + len(new) - len(both), -rho * pairs
    x, y = sum(base[key] for key in both), sum(new[key] for key in both)
    unpaired = (
        sum(score for key, score in base.items() if key not in both),
        sum(score for key, score in new.items() if key not in both),
    )
    right = (x - rho * y) / (1 - rho**2) + unpaired[0], (y - rho * x) / (1 - rho**2) + unpaired[1]
    determinant = xx * yy - xy**2
    base_mean = (yy * right[0] - xy * right[1]) / determinant
    new_mean = (xx * right[1] - xy * right[0]) / determinant
    return base_mean, new_mean - base_mean, (xx + yy + 2 * xy) / determinant


def compare_scores(
    metric: str,
    base: Mapping[PairKey, float],
    new: Mapping[PairKey, float],
    *,
    rho: float,
    prior: VarianceEstimate,
    alpha_share: float = 1.0,
) -> ScoreComparison:
    """Compare scores by seed. `new` is in the order in which the seeds trained.

    `prior` is the known noise without these scores; `alpha_share` is this test's share of the
    session's error rate.
    """
    # Imported here, because it takes a second that collecting cases should not.
    from scipy import special

    scores = list(new.values())
    noise = prior.combined(estimate_variance(list(base.values()))).combined(
        estimate_variance(scores)
    )
    sd_of_seed, freedom = math.sqrt(noise.variance), max(noise.freedom, 1.0)
    mean, delta, variance = estimate_shift(base, new, rho)
    expected_error = sd_of_seed * math.sqrt(variance)
    error = expected_error * math.sqrt(_scatter_ratio(base, new, noise.variance * 2 * (1 - rho)))
    p = float(special.stdtr(freedom, -abs(delta) / error)) if error else 0.5 if not delta else 0.0
    margin = max(EQUIVALENCE_MARGIN_SD * sd_of_seed, 2 * MIN_SHIFT)
    outcome: ScoreOutcome = "open"
    if (
        p < ALPHA * alpha_share * alpha_spent(len(new))
        and abs(delta) > MIN_SHIFT
        and _confirmed(base, new, sd_of_seed, freedom, delta)
    ):
        outcome = "worse" if delta < 0 else "better"
    elif (
        expected_error <= max(MAX_STANDARD_ERROR * sd_of_seed, MIN_SHIFT / 2)
        and margin - abs(delta) > special.stdtrit(freedom, 1 - EQUIVALENCE_ALPHA) * expected_error
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
        sd_of_seed,
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
    """Return the scatter of the pairs' differences over the expected variance.

    A difference that repeats from seed to seed is better known than the noise says.
    """
    pairs = [new[key] - base[key] for key in base.keys() & new.keys()]
    if len(pairs) < 2 or not expected:
        return 1.0
    return (MODEL_PAIRS + estimate_variance(pairs).variance * (len(pairs) - 1) / expected) / (
        MODEL_PAIRS + len(pairs) - 1
    )


def alpha_spent(count: int) -> float:
    """Return the share of a test's error rate at a look with `count` seeds.

    Later looks know more, so shares are proportional to the squared number of seeds.
    """
    looks = [look for look in LOOKS if look >= MIN_SEEDS_TO_REJECT]
    return min(count, max(looks)) ** 2 / sum(look**2 for look in looks)


def _confirmed(
    base: Mapping[PairKey, float],
    new: Mapping[PairKey, float],
    size: float,
    freedom: float,
    delta: float,
) -> bool:
    """Check that the seeds since the previous look show the shift by themselves."""
    from scipy import special

    if len(new) < MIN_SEEDS_TO_REJECT:
        return False
    previous = max(look for look in LOOKS if look < len(new))
    fresh = list(new.values())[previous:]
    shift = fmean(fresh) - fmean(base.values())
    error = size * math.sqrt(1 / len(fresh) + 1 / len(base))
    return (
        shift * delta > 0 and abs(shift) > special.stdtrit(freedom, 1 - CONFIRMATION_ALPHA) * error
    )


def next_look(count: int, limit: int) -> int | None:
    """Return the number of seeds of the look after `count`, or None at the limit."""
    later = [look for look in LOOKS if look > count]
    return min(later[0], limit) if later and count < limit else None


def error_share(cases: int, metrics: Sequence[str] | Mapping[str, str]) -> float:
    """Return each test's share of the error rate of a session of `cases` judged cases."""
    return 1 / max(1, cases * len(metrics))
