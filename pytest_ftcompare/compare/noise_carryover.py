"""What an update keeps of the baseline whose place it takes: the noise that its samples taught, and windows of the same work.

A new mean is accepted by looking at it; the spread around it is a property of the case, and grows better known with every
accepted result. Windows of the same code on the same machine differ by their process alone, which only several can show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from statistics import correlation, variance

from pytest_ftcompare.compare.environment_diff import differences
from pytest_ftcompare.results.result import Result, Window, digest, rounded

MAX_CARRIED_FREEDOM = 32  # degrees of freedom that earlier samples count as at most, so that old noise gives way to new
VARIANCE_CHANGE_ALPHA = 0.01  # two-sided p of the F test below which a spread is another one
MAX_BASELINE_WINDOWS = 9  # of a baseline, the newest

Scores = Mapping[int, float]  # seed -> score


def carry_over_noise(old: Result | None, new: Result) -> Result:
    """`new` with what `old`, the baseline that it replaces, had learned; as it is where they are different experiments."""
    if old is None or old.fingerprint != new.fingerprint:
        return new
    if old.seed_results == new.seed_results:  # they teach nothing that was not known
        return replace(
            new, noise=old.noise, noise_from=old.noise_from, windows=_carried_windows(old, new)
        )
    known = old
    if (
        _digest_of_seeds(new) in old.noise_from
    ):  # a change taken back: what was learned holds these very samples
        known = replace(old, noise={}, noise_from=[])
    return replace(
        new, noise=_carried_noise(known, new), noise_from=[*known.noise_from, _digest_of_seeds(old)]
    )


def _digest_of_seeds(result: Result) -> str:
    return digest(
        [[one.seed, one.trace.digest, one.predictions_digest] for one in result.seed_results]
    )


def _scores(result: Result, metric: str) -> Scores:
    return {one.seed: one.metrics[metric] for one in result.seed_results if metric in one.metrics}


def _carried_noise(old: Result, new: Result) -> dict[str, dict[str, float]]:
    """For each metric whose spread is what it was, the sum of squares and the degrees of freedom of samples before `new`."""
    found = {}
    for metric in sorted(
        {name for one in old.seed_results for name in one.metrics if "/" not in name}
    ):  # not of groups
        its, mine = _scores(old, metric), _scores(new, metric)
        before = old.noise.get(metric, {"squares": 0.0, "freedom": 0})
        own = variance(its.values()) if len(its) > 1 else 0.0
        squares, freedom = (
            before["squares"] + own * (len(its) - 1),
            before["freedom"] + len(its) - 1,
        )
        if not _same_variance(squares, freedom, mine):
            continue
        taught = math.floor(_new_information(its, mine) * (len(its) - 1))
        squares, freedom = before["squares"] + own * taught, before["freedom"] + taught
        if freedom:
            found[metric] = {
                "squares": rounded(squares * min(1, MAX_CARRIED_FREEDOM / freedom)),
                "freedom": min(MAX_CARRIED_FREEDOM, freedom),
            }
    return found


def _same_variance(squares: float, freedom: float, new: Scores) -> bool:
    """F test of the known variance against that of new scores; where one of them is not to be had, nothing speaks against."""
    if not freedom or len(new) < 2:
        return True
    mine = variance(new.values())
    if not squares or not mine:
        return not squares and not mine
    from scipy import stats  # a second to import: not while cases are collected

    ratio = mine / (squares / freedom)
    tails = stats.f.sf(ratio, len(new) - 1, freedom), stats.f.cdf(ratio, len(new) - 1, freedom)
    return bool(2 * min(tails) >= VARIANCE_CHANGE_ALPHA)


def _new_information(old: Scores, new: Scores) -> float:
    """The share of the old scores' freedom that the new ones, pooled with them, do not hold already.

    Scores of one seed share rows, order and dropout. With a correlation of r, two sample variances of a bivariate normal have
    one of r^2, so their pool rests on 2 / (1 + r^2) times the freedom of one of them, and the old adds (1 - r^2) / (1 + r^2).
    Where r cannot be had, shared seeds add nothing.
    """
    shared = sorted(old.keys() & new.keys())
    its, mine = [old[seed] for seed in shared], [new[seed] for seed in shared]
    adds = 0.0
    if len(shared) > 2 and len({*its}) > 1 and len({*mine}) > 1:
        square = correlation(its, mine) ** 2
        adds = max(0.0, (1 - square) / (1 + square))
    return 1 - (1 - adds) * len(shared) / len(old)


def _carried_windows(old: Result, new: Result) -> list[Window]:
    """The new windows, after those of other processes that timed the same code on the same machine."""
    changed = [one for one in differences(old.environment, new.environment) if one.name != "commit"]
    if changed or old.signature != new.signature or not new.windows:
        return new.windows
    limit = new.windows[-1].device_state.get(
        "power_limit"
    )  # with another it is another card, as time and energy go
    kept = [
        one
        for one in old.windows
        if not one.disturbed and one.device_state.get("power_limit") == limit
    ]
    return [*kept, *new.windows][-MAX_BASELINE_WINDOWS:]
