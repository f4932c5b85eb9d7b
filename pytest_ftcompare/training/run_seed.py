"""Train and evaluate one seed of a case. `gate/torch_case.py` and `short_training.py` call it."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from statistics import fmean

import torch

from pytest_ftcompare.methods.base import Stage
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.result import SeedResult, Trace, digest, pack, rounded
from pytest_ftcompare.training.evaluate import evaluate
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed, training_rows_digest
from pytest_ftcompare.training.scoring import accuracy_metrics
from pytest_ftcompare.training.train import Engine, Progress, Step, TrainingError, train

FIRST_STEPS = 4  # updates that a trace keeps in full, chosen
CURVE_BLOCKS = 8  # block means of a trace's loss curve, chosen
METRIC_SUFFIXES = {"test": "", "ood": "_ood"}  # by split


def trace_of(steps: list[Step]) -> Trace:
    """Return the trace: a digest of all steps, the first ones, and the loss curve."""
    blocks = min(CURVE_BLOCKS, len(steps))
    edges = [len(steps) * block // blocks for block in range(blocks + 1)] if blocks else [0]
    curve = [
        # Python 3.12 changed how `sum` rounds.
        rounded(fmean(step.loss for step in steps[start:end]), 5)
        for start, end in pairwise(edges)
    ]
    first = [[rounded(step.loss), rounded(step.norm)] for step in steps[:FIRST_STEPS]]
    return Trace(digest([[step.loss, step.norm] for step in steps]), first, curve)


def engine(case: Case) -> Engine:
    """Return the training function of the case's engine."""
    if case.engine == "trainer":
        # Importing transformers.Trainer takes seconds.
        from pytest_ftcompare.training import hf_trainer

        return hf_trainer.train
    return train


def run_seed(
    prepared: PreparedCase,
    seed: int,
    progress: Progress,
    stream: int = 0,
    change: Callable[[Stage], Stage] | None = None,
) -> SeedResult:
    """Train and evaluate one seed; a loss or score that is not finite raises `TrainingError`.

    Another `stream` keeps the seed's rows and changes all other draws: initialisation, order,
    dropout. `change` is applied to each stage before it is trained.
    """
    context = PreparedSeed(prepared, seed, prepared.case.shots)
    torch.manual_seed(seed + stream)
    model = prepared.adapted()
    steps: list[Step] = []
    if prepared.method.trains:
        for stage in prepared.method.stages(model, context):
            trained_stage = context.check(stage) if change is None else change(context.check(stage))
            steps += engine(prepared.case)(
                model, prepared.method, trained_stage, seed + stream, progress
            )

    progress(0, 0, 0.0)
    metrics: dict[str, float] = {}
    correct: dict[str, str] = {}
    class_counts: dict[str, list[int]] = {}
    predictions: dict[str, list[int] | list[str]] = {}
    for split, examples in prepared.test_splits.items():
        suffix = METRIC_SUFFIXES[split]
        evaluation = evaluate(
            model, prepared.interface, prepared.encode(examples, context.support), examples
        )
        if not math.isfinite(evaluation.loss):
            raise TrainingError(
                f"expected finite scores on the {split} split, some are not (seed {seed})"
            )
        scores = accuracy_metrics(prepared.task, evaluation.correct, examples) | {
            "loss": evaluation.loss
        }
        if evaluation.score is not None:
            scores["score"] = evaluation.score
        # accuracy/group -> accuracy_ood/group
        for name, value in scores.items():
            metric, *part = name.split("/", 1)
            metrics["/".join([f"{metric}{suffix}", *part])] = rounded(value)
        correct[split] = pack(evaluation.correct)
        class_counts[split] = evaluation.class_counts
        predictions[split] = evaluation.predictions
    return SeedResult(
        seed,
        training_rows_digest(context),
        trace_of(steps),
        metrics,
        correct,
        class_counts,
        digest(predictions),
        context.rows_drawn,
    )
