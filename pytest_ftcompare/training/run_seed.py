"""One seed of a case: draw the sample, load, apply, train, evaluate."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch

from pytest_ftcompare.methods.base import Stage
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.result import SeedResult, Trace, digest, pack, rounded
from pytest_ftcompare.training.evaluate import evaluate
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed, training_rows_digest
from pytest_ftcompare.training.scoring import accuracy_metrics
from pytest_ftcompare.training.train import Engine, Progress, Step, TrainingError, train

FIRST_STEPS = 4  # steps kept one by one
CURVE_BLOCKS = 8  # means that make the loss curve
METRIC_SUFFIXES = {"test": "", "ood": "_ood"}  # of a metric's name


def trace_of(steps: list[Step]) -> Trace:
    """The digest of all steps, the first ones, and the loss curve as means over equal blocks."""
    blocks = min(CURVE_BLOCKS, len(steps))
    edges = [len(steps) * at // blocks for at in range(blocks + 1)] if blocks else [0]
    curve = [rounded(sum(one.loss for one in steps[a:b]) / (b - a), 5) for a, b in pairwise(edges)]
    first = [[rounded(one.loss), rounded(one.norm)] for one in steps[:FIRST_STEPS]]
    return Trace(digest([[one.loss, one.norm] for one in steps]), first, curve)


def engine(case: Case) -> Engine:
    """What trains the case."""
    if case.engine == "trainer":
        from pytest_ftcompare.training import (
            hf_trainer,
        )  # transformers.Trainer takes seconds to import

        return hf_trainer.train
    return train


def run_seed(
    prepared: PreparedCase,
    seed: int,
    progress: Progress,
    stream: int = 0,
    change: Callable[[Stage], Stage] | None = None,
) -> SeedResult:
    """Train and evaluate one seed; raises `TrainingError` where a loss or a score is not finite.

    Another `stream` keeps the seed's rows and moves all else that is drawn: initialisation, order,
    dropout. `change` is applied to each stage before it is trained.
    """
    context = PreparedSeed(prepared, seed, prepared.case.shots)
    torch.manual_seed(seed + stream)
    model = prepared.adapted()
    steps: list[Step] = []
    if prepared.method.trains:
        for stage in prepared.method.stages(model, context):
            trained = context.check(stage) if change is None else change(context.check(stage))
            steps += engine(prepared.case)(model, prepared.method, trained, seed + stream, progress)

    progress(0, 0, 0.0)
    metrics: dict[str, float] = {}
    correct: dict[str, str] = {}
    predicted: dict[str, list[int]] = {}
    choices: dict[str, list[int] | list[str]] = {}
    for split, examples in prepared.test_splits.items():
        suffix = METRIC_SUFFIXES[split]
        found = evaluate(
            model, prepared.interface, prepared.encode(examples, context.support), examples
        )
        if not math.isfinite(found.loss):
            raise TrainingError(
                f"expected finite scores on the {split} split, some are not (seed {seed})"
            )
        scores = accuracy_metrics(prepared.task, found.correct, examples) | {"loss": found.loss}
        if found.score is not None:
            scores["score"] = found.score
        for name, value in scores.items():  # accuracy/group -> accuracy_ood/group
            metric, *part = name.split("/", 1)
            metrics["/".join([f"{metric}{suffix}", *part])] = rounded(value)
        correct[split] = pack(found.correct)
        predicted[split] = found.class_counts
        choices[split] = found.predictions
    return SeedResult(
        seed,
        training_rows_digest(context),
        trace_of(steps),
        metrics,
        correct,
        predicted,
        digest(choices),
        context.rows_drawn,
    )
