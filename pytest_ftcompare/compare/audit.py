"""Audit one result: refuse an experiment that cannot show anything. Each refusal is a sentence.

`verdict.py` and the gate call these audits. Each comes from a published comparison whose result
files broke it. docs/audits.md lists all audits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean

from pytest_ftcompare.results.result import Result, SeedResult

# Mean accuracy above which a case has no room to get better. Chosen. Raising it accepts easier
# cases.
CEILING = 0.97
# Accuracy above the majority share below which a case has no room to get worse. Chosen. Raising it
# refuses more cases.
MIN_ABOVE_MAJORITY = 0.03
# Seeds of a baseline: fewer do not show how seeds scatter. Chosen. Raising it needs more trainings.
MIN_BASELINE_SEEDS = 3


def audit_validity(result: Result) -> Iterator[str]:
    """Yield a refusal for each way in which a result is invalid, whatever its accuracy."""
    seed_by_rows: dict[str, int] = {}
    seed_by_trace: dict[str, int] = {}
    for seed_result in result.seed_results:
        yield from _not_finite(seed_result)
        if (
            other := seed_by_rows.setdefault(seed_result.training_rows, seed_result.seed)
        ) != seed_result.seed:
            yield (
                f"repeated samples: seeds {other} and {seed_result.seed} drew the same training "
                "rows, but each seed must draw its own: give the case fewer shots than a class has "
                "training rows, or look for code that fixes or resets the draw"
            )
        elif (
            seed_result.trace.first_steps
            and (other := seed_by_trace.setdefault(seed_result.trace.digest, seed_result.seed))
            != seed_result.seed
        ):
            yield (
                f"repeated samples: seeds {other} and {seed_result.seed} drew other rows and "
                "trained alike, bit for bit: look for code that trains on rows that are not the "
                "seed's"
            )
    yield from (f"invariant: {broken}" for broken in result.broken_invariants)


def _not_finite(seed_result: SeedResult) -> Iterator[str]:
    first_steps = [
        (f"{name} at step {number}", value)
        for number, step in enumerate(seed_result.trace.first_steps, 1)
        for name, value in _named_step(step)
    ]
    curve = [
        (f"block {number} of the loss curve", value)
        for number, value in enumerate(seed_result.trace.curve, 1)
    ]
    for name, value in [*seed_result.metrics.items(), *first_steps, *curve]:
        if not math.isfinite(value):
            yield (
                f"not finite: {name} of seed {seed_result.seed} is {value}, expected a finite "
                "number: lower the learning rate, or look for what changed"
            )
            return


def _named_step(step: list[float]) -> Iterator[tuple[str, float]]:
    yield from zip(("loss", "gradient norm"), step, strict=True)


def audit_headroom(result: Result) -> Iterator[str]:
    """Yield a refusal for each reason against accepting a result's accuracy as a baseline.

    Yield nothing for a case with `judge_accuracy=False`: its accuracy is not judged.
    """
    if not result.judge_accuracy or not result.seed_results:
        return
    scores = [seed_result.metrics["accuracy"] for seed_result in result.seed_results]
    mean = fmean(scores)
    majority = result.majority_share["test"]
    advice = (
        "give it more to learn from, or declare the case judge_accuracy=False in its suite's table"
    )
    different = len(
        {tuple(sorted(seed_result.correct.items())) for seed_result in result.seed_results}
    )
    if len(scores) > 1 and different <= len(scores) // 2:
        yield (
            f"repeated outcomes: all {len(scores)} seeds were right on exactly the same rows"
            if different == 1
            else f"repeated outcomes: {len(scores)} seeds have only {different} different "
            "outcomes, row by row"
        ) + ", but each must be an experiment of its own: look for what makes seeds alike"
    if len(scores) < MIN_BASELINE_SEEDS:
        yield (
            f"too few seeds: {len(scores)} of at least {MIN_BASELINE_SEEDS}, which show how seeds "
            "scatter: give more with --ftcompare-seeds"
        )
    constant = [
        seed_result.seed for seed_result in result.seed_results if _is_constant(seed_result)
    ]
    if constant:
        yield f"constant predictor: seed {constant[0]} gave every test row the same class: {advice}"
    if mean <= majority:
        yield (
            f"below majority, no headroom: accuracy {mean:.1%} is not above {majority:.1%}, "
            f"the share of the most frequent class: {advice}"
        )
    elif mean < majority + MIN_ABOVE_MAJORITY:
        yield (
            f"no headroom: accuracy {mean:.1%} is not clearly above the majority share, "
            f"{majority:.1%}: {advice}"
        )
    if mean > CEILING:
        yield (
            f"no headroom: accuracy {mean:.1%} is above {CEILING:.0%}, where no change shows: make "
            "the task harder, or declare the case judge_accuracy=False in its suite's table"
        )


def _is_constant(seed_result: SeedResult) -> bool:
    return max(seed_result.class_counts["test"]) == sum(seed_result.class_counts["test"])


def audit_remarks(result: Result) -> Iterator[str]:
    """Yield a remark, which refuses nothing, if a case with `judge_accuracy=False` has headroom."""
    if (
        not result.judge_accuracy
        and result.seed_results
        and not list(audit_headroom(replace(result, judge_accuracy=True)))
    ):
        mean = fmean(seed_result.metrics["accuracy"] for seed_result in result.seed_results)
        yield (
            f"gained headroom: it is declared judge_accuracy=False, and its accuracy, {mean:.1%}, "
            f"could be judged now (majority share {result.majority_share['test']:.1%}): "
            "drop judge_accuracy=False from its suite's table"
        )
