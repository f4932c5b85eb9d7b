"""Audits: what an experiment must meet before its numbers mean anything. Each refusal is a sentence.

Each was learned from a published comparison whose result files broke it (docs/audits.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from pytest_ftcompare.result import Result

CEILING = 0.97  # above it a case has no room to get worse or better in a way that shows
SEEDS = 3  # of a baseline at least: fewer say nothing of its mean
ABOVE_MAJORITY = 0.03  # what "clearly above the majority class" is


def sound(result: Result) -> Iterator[str]:
    """What must hold of any result, whatever its outcome."""
    seen: dict[str, int] = {}
    for sample in result.samples:
        for name, value in sample.metrics.items():
            if not math.isfinite(value):
                yield f"not finite: {name} of seed {sample.seed} is {value}"
        if (other := seen.setdefault(sample.subset, sample.seed)) != sample.seed:
            yield f"repeated samples: seeds {other} and {sample.seed} drew the same training rows"
    yield from (f"invariant: {one}" for one in result.broken)


def judgeable(result: Result) -> Iterator[str]:
    """What must hold before an outcome is accepted as a baseline."""
    if not result.outcome or not result.samples:
        return
    scores = [sample.metrics["accuracy"] for sample in result.samples]
    mean = sum(scores) / len(scores)
    majority = result.majority["test"]
    if len(scores) > 1 and len({sample.correct["test"] for sample in result.samples}) == 1:
        yield f"repeated outcomes: all {len(scores)} seeds were right on exactly the same rows"
    if len(scores) < SEEDS:
        yield f"too few seeds: {len(scores)} of at least {SEEDS}, with which nothing could be called worse"
    constant = [sample.seed for sample in result.samples if max(sample.predicted["test"]) == sum(sample.predicted["test"])]
    if constant:
        yield f"constant predictor: seed {constant[0]} gave every test row the same class"
    if mean < majority + ABOVE_MAJORITY:
        yield f"no headroom: accuracy {mean:.1%} is not clearly above the majority class, {majority:.1%}"
    if mean > CEILING:
        yield f"no headroom: accuracy {mean:.1%} is above {CEILING:.0%}"
