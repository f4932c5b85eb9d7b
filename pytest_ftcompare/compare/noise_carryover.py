"""Carry over from a replaced baseline the noise of its scores and windows of the same work.

An update accepts a new mean. The scatter around it belongs to the case and becomes better known
with each accepted result. Windows of the same code on the same machine differ by their process,
and only several processes show by how much. The gate's session calls this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from statistics import correlation, variance

from pytest_ftcompare.compare.environment_diff import differences
from pytest_ftcompare.results.result import Result, Window, digest, rounded

# Degrees of freedom that earlier scores count as, at most. Chosen. Raising it lets old noise give
# way to new more slowly.
MAX_CARRIED_FREEDOM = 32
# Two-sided p of the F test below which a variance is a different one. Chosen. Raising it forgets
# old noise more often.
VARIANCE_CHANGE_ALPHA = 0.01
# Windows that a baseline keeps, the newest. Chosen. Raising it makes times better known.
MAX_BASELINE_WINDOWS = 9

# seed -> score
Scores = Mapping[int, float]


def carry_over_noise(old: Result | None, new: Result) -> Result:
    """Return `new` with the noise and windows of `old`, the baseline that it replaces.

    Return `new` unchanged if `old` is of another experiment.
    """
    if old is None or old.fingerprint != new.fingerprint:
        return new
    # Equal results add nothing to the noise.
    if old.seed_results == new.seed_results:
        return replace(
            new, noise=old.noise, noise_from=old.noise_from, windows=_carried_windows(old, new)
        )
    known = old
    # If a change was taken back, the noise of `old` already contains the scores of `new`.
    if _digest_of_seeds(new) in old.noise_from:
        known = replace(old, noise={}, noise_from=[])
    return replace(
        new, noise=_carried_noise(known, new), noise_from=[*known.noise_from, _digest_of_seeds(old)]
    )


def _digest_of_seeds(result: Result) -> str:
    return digest(
        [
            [seed_result.seed, seed_result.trace.digest, seed_result.predictions_digest]
            for seed_result in result.seed_results
        ]
    )


def _scores(result: Result, metric: str) -> Scores:
    return {
        seed_result.seed: seed_result.metrics[metric]
        for seed_result in result.seed_results
        if metric in seed_result.metrics
    }


def _carried_noise(old: Result, new: Result) -> dict[str, dict[str, float]]:
    """Return, by metric, the sum of squares and degrees of freedom of scores before `new`.

    Leave out a metric with a variance that changed.
    """
    noise = {}
    # Scores of groups ("accuracy/group") are not judged, so they need no noise.
    for metric in sorted(
        {
            name
            for seed_result in old.seed_results
            for name in seed_result.metrics
            if "/" not in name
        }
    ):
        old_scores, new_scores = _scores(old, metric), _scores(new, metric)
        before = old.noise.get(metric, {"squares": 0.0, "freedom": 0})
        old_variance = variance(old_scores.values()) if len(old_scores) > 1 else 0.0
        squares, freedom = (
            before["squares"] + old_variance * (len(old_scores) - 1),
            before["freedom"] + len(old_scores) - 1,
        )
        if not _same_variance(squares, freedom, new_scores):
            continue
        added = math.floor(_new_information(old_scores, new_scores) * (len(old_scores) - 1))
        squares, freedom = before["squares"] + old_variance * added, before["freedom"] + added
        if freedom:
            noise[metric] = {
                "squares": rounded(squares * min(1, MAX_CARRIED_FREEDOM / freedom)),
                "freedom": min(MAX_CARRIED_FREEDOM, freedom),
            }
    return noise


def _same_variance(squares: float, freedom: float, new: Scores) -> bool:
    """Compare the known variance with that of new scores by an F test.

    Return true if either is unknown.
    """
    if not freedom or len(new) < 2:
        return True
    new_variance = variance(new.values())
    if not squares or not new_variance:
        return not squares and not new_variance
    # Imported here, because it takes a second that collecting cases should not.
    from scipy import stats

    ratio = new_variance / (squares / freedom)
    tails = stats.f.sf(ratio, len(new) - 1, freedom), stats.f.cdf(ratio, len(new) - 1, freedom)
    return bool(2 * min(tails) >= VARIANCE_CHANGE_ALPHA)


def _new_information(old: Scores, new: Scores) -> float:
    """Return the share of the old scores' freedom that the new scores do not contain already.

    The scores of a seed share rows, order and dropout. If they correlate by r, two sample variances
    of a bivariate normal correlate by r^2. Their pool has 2 / (1 + r^2) times the freedom of one of
    them, so the old scores add (1 - r^2) / (1 + r^2). If r is unknown, shared seeds add nothing.
    """
    shared = sorted(old.keys() & new.keys())
    old_scores, new_scores = [old[seed] for seed in shared], [new[seed] for seed in shared]
    added = 0.0
    if len(shared) > 2 and len({*old_scores}) > 1 and len({*new_scores}) > 1:
        square = correlation(old_scores, new_scores) ** 2
        added = max(0.0, (1 - square) / (1 + square))
    return 1 - (1 - added) * len(shared) / len(old)


def _carried_windows(old: Result, new: Result) -> list[Window]:
    """Return the new windows after the old ones of the same code on the same machine."""
    changes = [
        change
        for change in differences(old.environment, new.environment)
        if change.name != "commit"
    ]
    if changes or old.signature != new.signature or not new.windows:
        return new.windows
    # Time and energy depend on the power limit.
    limit = new.windows[-1].device_state.get("power_limit")
    carried = [
        window
        for window in old.windows
        if not window.disturbed and window.device_state.get("power_limit") == limit
    ]
    return [*carried, *new.windows][-MAX_BASELINE_WINDOWS:]
