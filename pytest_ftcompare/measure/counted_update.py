"""The execution of one update, counted: what a case's own step does, on a model made afresh and a fixed batch."""

from __future__ import annotations

import gc
from collections import Counter as tally
from dataclasses import asdict

import torch

from pytest_ftcompare.measure.op_counter import OpCounter
from pytest_ftcompare.measure.step_counts import UpdateCounts, count, held, uncollected
from pytest_ftcompare.results.result import Json
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import Training

SHOTS = 8  # rows a class of the counted batch, where the classes have as many
ROWS = 64  # of that batch at most, but for one row a class
STEPS = 1000  # of the schedule, of which one is counted


def shots(prepared: PreparedCase) -> int:
    """How many rows a class the counted batch has."""
    task, train = prepared.task, prepared.examples["train"]
    if task.generative or task.token_labels:
        return min(SHOTS, len(train))
    rows = tally(one.label for one in train)
    return max(
        1, min(SHOTS, ROWS // len(task.labels), *(rows[label] for label in range(len(task.labels))))
    )


def count_update(prepared: PreparedCase) -> Json:
    """Counts of an update, optimiser state included; of an evaluation where nothing trains.

    `stray bytes` are those of tensors that applying the method left alive outside of its model, which the step does not meet.
    """
    context = PreparedSeed(prepared, 0, shots(prepared))
    torch.manual_seed(0)
    loaded = prepared.loaded()
    with uncollected(), OpCounter() as made:
        model = prepared.method.apply(loaded.model)
    gc.collect()  # what went in circles is not kept
    kept = {made.serial(one) for one in held(model)}
    stray = made.total - sum(made.size(one) for one in kept)
    if not prepared.method.trains:
        rows = context.rows
        return _named(
            count(lambda: class_logits(model, prepared.interface, rows), model, None), stray
        )
    stage = context.stage(prepared.method.recipe)
    training = Training(model, prepared.method, stage, STEPS, 0)
    return _named(
        count(lambda: training.update(list(range(len(stage.rows)))), model, training.optimizer),
        stray,
    )


def _named(counts: UpdateCounts, stray: int) -> Json:
    """With the unit in the name, as a report shows it."""
    named = {
        name if name in ("operations", "flops") else f"{name} bytes": value
        for name, value in asdict(counts).items()
    }
    return named | {"stray bytes": stray}
