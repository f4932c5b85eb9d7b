"""Audits of one result: what an experiment must meet before its numbers mean anything. Each refusal is a sentence.

Each was learned from a published comparison whose result files broke it (docs/audits.md, which has the others, too).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from pytest_ftcompare.results.result import Result, SeedResult

CEILING = 0.97  # above it a case has no room to get worse or better in a way that shows
ABOVE_MAJORITY = 0.03  # what "clearly above the majority class" is
SEEDS = 3  # of a baseline: fewer do not tell how seeds scatter


def audit_validity(result: Result) -> Iterator[str]:
    """What must hold of any result, whatever its outcome."""
    subsets: dict[str, int] = {}
    traces: dict[str, int] = {}
    for sample in result.seed_results:
        yield from _not_finite(sample)
        if (other := subsets.setdefault(sample.training_rows, sample.seed)) != sample.seed:
            yield (
                f"repeated samples: seeds {other} and {sample.seed} drew the same training rows, "
                "where each seed must draw its own: look for what fixes or resets the draw"
            )
        elif (
            sample.trace.first_steps
            and (other := traces.setdefault(sample.trace.digest, sample.seed)) != sample.seed
        ):
            yield (
                f"repeated samples: seeds {other} and {sample.seed} drew other rows and trained alike to the last bit: "
                "look for what trains on rows that are not the seed's"
            )
    yield from (f"invariant: {one}" for one in result.broken_invariants)


def _not_finite(sample: SeedResult) -> Iterator[str]:
    first = [
        (f"{name} at step {at}", value)
        for at, step in enumerate(sample.trace.first_steps, 1)
        for name, value in _named(step)
    ]
    curve = [
        (f"block {at} of the loss curve", value) for at, value in enumerate(sample.trace.curve, 1)
    ]
    for name, value in [*sample.metrics.items(), *first, *curve]:
        if not math.isfinite(value):
            yield (
                f"not finite: {name} of seed {sample.seed} is {value}, where only numbers can be compared: "
                "lower the learning rate, or look at what changed"
            )
            return


def _named(step: list[float]) -> Iterator[tuple[str, float]]:
    yield from zip(("loss", "gradient norm"), step, strict=True)


def audit_headroom(result: Result) -> Iterator[str]:
    """What must hold before an outcome is accepted as a baseline; nothing of a case that is declared without headroom."""
    if not result.judge_accuracy or not result.seed_results:
        return
    scores = [sample.metrics["accuracy"] for sample in result.seed_results]
    mean = sum(scores) / len(scores)
    majority = result.majority_share["test"]
    declare = (
        "give it more to learn from, or declare the case judge_accuracy=False in its suite's table"
    )
    different = len({tuple(sorted(sample.correct.items())) for sample in result.seed_results})
    if len(scores) > 1 and different <= len(scores) // 2:
        yield (
            f"repeated outcomes: all {len(scores)} seeds were right on exactly the same rows"
            if different == 1
            else f"repeated outcomes: {len(scores)} seeds have only {different} different outcomes, row by row"
        ) + ", where each must be an experiment of its own: look for what makes seeds alike"
    if len(scores) < SEEDS:
        yield f"too few seeds: {len(scores)} of at least {SEEDS}, that tell how seeds scatter: give more with --ftcompare-seeds"
    constant = [sample.seed for sample in result.seed_results if _constant(sample)]
    if constant:
        yield f"constant predictor: seed {constant[0]} gave every test row the same class: {declare}"
    if mean <= majority:
        yield (
            f"below majority, no headroom: accuracy {mean:.1%} is not above {majority:.1%}, "
            f"which always naming the commonest class gives: {declare}"
        )
    elif mean < majority + ABOVE_MAJORITY:
        yield f"no headroom: accuracy {mean:.1%} is not clearly above the majority class, {majority:.1%}: {declare}"
    if mean > CEILING:
        yield (
            f"no headroom: accuracy {mean:.1%} is above {CEILING:.0%}, where nothing better or worse shows: "
            "make the task harder, or declare the case judge_accuracy=False in its suite's table"
        )


def _constant(sample: SeedResult) -> bool:
    return max(sample.class_counts["test"]) == sum(sample.class_counts["test"])


def audit_remarks(result: Result) -> Iterator[str]:
    """What is no fault and still worth saying: a case declared without headroom that has some by now."""
    if (
        not result.judge_accuracy
        and result.seed_results
        and not list(audit_headroom(replace(result, judge_accuracy=True)))
    ):
        mean = sum(one.metrics["accuracy"] for one in result.seed_results) / len(
            result.seed_results
        )
        yield (
            f"gained headroom: it is declared judge_accuracy=False, and its accuracy, {mean:.1%}, could be judged now "
            f"(majority class {result.majority_share['test']:.1%}): drop judge_accuracy=False from its suite's table"
        )
