"""How much a seed's baseline run tells of its new run: the correlation of their scores, from the test rows both got right.

Runs of one seed share training rows, often order and dropout, too, and are scored on the same test rows. Two runs that agree
on nearly all rows cannot differ much in their score; two that agree no more than runs of different seeds do say nothing of each
other. So with f the share of rows that one run got right and the other wrong, `1 - rho = f(same seed) / f(different seeds)`.
A real loss makes f larger, so rho smaller and the test more careful, never bolder.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from statistics import fmean

from pytest_ftcompare.results.result import SeedResult

PairKey = tuple[int, str]  # a seed and the training rows that it drew: another draw is no pair


def scores_by_key(samples: Iterable[SeedResult], metric: str) -> dict[PairKey, float]:
    """The scores by seed and rows."""
    return {
        (one.seed, one.training_rows): one.metrics[metric]
        for one in samples
        if metric in one.metrics
    }


def _correct_rows(samples: Iterable[SeedResult], split: str) -> dict[PairKey, int]:
    return {
        (one.seed, one.training_rows): int.from_bytes(base64.b64decode(one.correct[split]), "big")
        for one in samples
        if split in one.correct
    }


def _mean_discordance(pairs: Iterable[tuple[int, int]]) -> float:
    """Mean number of rows on which the runs of a pair differ."""
    return fmean((first ^ second).bit_count() for first, second in pairs)


def correlation(
    baseline: Sequence[SeedResult], candidate: Sequence[SeedResult], split: str
) -> float:
    """rho of the scores of a seed's two runs on a split, in [0, 1); 0 where nothing is paired."""
    before: Mapping[PairKey, int] = _correct_rows(baseline, split)
    after = _correct_rows(candidate, split)
    same = [(before[key], after[key]) for key in before.keys() & after.keys()]
    different = list(combinations(before.values(), 2))
    if not same or not different or not (between := _mean_discordance(different)):
        return 0.0
    # A row in all that were compared is the least that could have differed: rho stays below 1.
    return max(0.0, 1 - max(_mean_discordance(same), 1 / len(same)) / between)
