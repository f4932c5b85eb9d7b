"""Estimate how a seed's two runs correlate, from the test rows that each got right.

Runs of one seed share training rows and test rows, and often order and dropout. Two runs that agree
on nearly all rows cannot differ much in their score. With f the share of rows that exactly one of
two runs got right, `1 - rho = f(same seed) / f(different seeds)`. A real loss makes f larger, so
rho becomes smaller and the test more careful, never bolder. `verdict.py` calls it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from statistics import fmean

from pytest_ftcompare.results.result import SeedResult

# A seed and the digest of its training rows: two runs with other rows are no pair.
PairKey = tuple[int, str]


def scores_by_key(seed_results: Iterable[SeedResult], metric: str) -> dict[PairKey, float]:
    """Return the scores by seed and training rows."""
    return {
        (seed_result.seed, seed_result.training_rows): seed_result.metrics[metric]
        for seed_result in seed_results
        if metric in seed_result.metrics
    }


def _correct_rows(seed_results: Iterable[SeedResult], split: str) -> dict[PairKey, int]:
    """Return the rows that each run got right, as the bits of a number."""
    return {
        (seed_result.seed, seed_result.training_rows): int.from_bytes(
            base64.b64decode(seed_result.correct[split]), "big"
        )
        for seed_result in seed_results
        if split in seed_result.correct
    }


def _mean_discordance(pairs: Iterable[tuple[int, int]]) -> float:
    """Return the mean number of rows that exactly one run of a pair got right."""
    return fmean((first ^ second).bit_count() for first, second in pairs)


def correlation(
    baseline: Sequence[SeedResult], candidate: Sequence[SeedResult], split: str
) -> float:
    """Return rho of a seed's two scores on a split, in [0, 1); 0 if no seed is paired."""
    before: Mapping[PairKey, int] = _correct_rows(baseline, split)
    after = _correct_rows(candidate, split)
    same = [(before[key], after[key]) for key in before.keys() & after.keys()]
    different = list(combinations(before.values(), 2))
    if not same or not different or not (between := _mean_discordance(different)):
        return 0.0
    # At least one row of all pairs is taken to differ, so rho stays below 1.
    return max(0.0, 1 - max(_mean_discordance(same), 1 / len(same)) / between)
