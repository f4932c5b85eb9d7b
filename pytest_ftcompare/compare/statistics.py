"""The test of an outcome: paired by seed, a variance that few seeds may borrow from a prior, significance *and* a margin.

Seeds share data, order and dropout with the baseline's, so each gives a difference of scores on the same test rows. With n
differences of mean d and sum of squares q around it, and the case's own noise s (the seed SD of its baseline):

    s0^2 = (v0 * prior^2 + sum of squares of the baseline's scores) / (v0 + m - 1)         the case's noise
    sd^2 = (v0 * 2 s0^2 + q) / (v0 + n - 1)                                                of one difference
    t    = d / (sd / sqrt(n)),  v0 + n - 1 degrees of freedom

a moderated t statistic (Smyth 2004, doi:10.2202/1544-6115.1027): with no pairing left, a difference has variance 2 s0^2.
*Worse* needs p < ALPHA, shared over the looks (Bonferroni), and d below minus the margin; *held* needs the lower confidence
bound above minus the margin. The margin is twice the case's noise, at most half of what the case stands above its majority
class, at least MARGIN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

LOOKS = (3, 5, 8)  # numbers of seeds at which the question is asked again
ALPHA = 0.01  # of calling a metric of a case worse (or better) that is not, over all looks
CONFIDENCE = 0.95  # of the bound that must clear the margin
MARGIN = 0.01  # the smallest loss that matters, as a share of test rows
PRIOR = 0.02  # a case's seed SD before anything is known of it
WEIGHT = 4.0  # v0: as many observations as the prior is worth

Outcome = Literal["worse", "better", "held", "open"]


@dataclass(frozen=True)
class Comparison:
    """One metric over `seeds` paired seeds; `p` is one-sided, in the direction of `delta`."""

    metric: str
    base: float
    base_sd: float
    new: float
    new_sd: float
    delta: float
    low: float
    p: float
    margin: float
    seeds: int
    outcome: Outcome


def _squares(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((one - mean) ** 2 for one in values)


def sd(values: Sequence[float]) -> float:
    """Sample SD, zero for a single value."""
    return math.sqrt(_squares(values) / (len(values) - 1)) if len(values) > 1 else 0.0


def noise(baseline: Sequence[float]) -> float:
    """The case's own noise: its baseline's seed SD, drawn towards the prior."""
    return math.sqrt((WEIGHT * PRIOR**2 + _squares(baseline)) / (WEIGHT + len(baseline) - 1))


def compare(
    metric: str,
    baseline: Sequence[float],
    pairs: Sequence[tuple[float, float]],
    *,
    alike: bool,
    room: float | None = None,
) -> Comparison:
    """Compare (baseline, new) scores of the same seeds; `baseline` holds all of the baseline's scores.

    `alike` says that probe and first steps agree to rounding: then only evidence against holds the case up, while a
    computation that differs must show that it is no worse. `room` is what there is to lose: the margin is at most its half.
    """
    from scipy import stats  # a second to import: not while cases are collected

    size = noise(baseline)
    deltas = [new - base for base, new in pairs]
    delta, count = sum(deltas) / len(deltas), len(deltas)
    freedom = WEIGHT + count - 1
    spread = math.sqrt((WEIGHT * 2 * size**2 + _squares(deltas)) / freedom / count)
    p = float(stats.t.sf(abs(delta) / spread, freedom))
    low = delta - float(stats.t.ppf(CONFIDENCE, freedom)) * spread
    margin = max(MARGIN, min(2 * size, math.inf if room is None else room / 2))
    outcome: Outcome = "open"
    if p < ALPHA / len(LOOKS) and abs(delta) > margin and count >= min(LOOKS):
        outcome = "worse" if delta < 0 else "better"
    elif low > -margin or (alike and delta > -margin / 2):
        outcome = "held"
    before, after = [base for base, _ in pairs], [new for _, new in pairs]
    return Comparison(
        metric,
        sum(before) / count,
        sd(before),
        sum(after) / count,
        sd(after),
        delta,
        low,
        p,
        margin,
        count,
        outcome,
    )
