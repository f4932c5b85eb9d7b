"""Count what one update of a case needs, on a fresh model and a fixed batch.

The gate calls `count_update` for every case and compares the counts with the baseline's.
"""

from __future__ import annotations

import gc
from collections import Counter as tally
from dataclasses import asdict

import torch

from pytest_ftcompare.measure.op_counter import OpCounter
from pytest_ftcompare.measure.step_counts import (
    UpdateCounts,
    count_step,
    gc_paused,
    tensors_of_model,
)
from pytest_ftcompare.results.result import Json
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import Training

# Chosen: raising either makes counting slower and changes every baseline's counts.
MAX_SHOTS = 8  # rows of each class in the counted batch, if the classes have that many
MAX_ROWS = 64  # rows of the counted batch, or one row per class if there are more classes
SCHEDULE_STEPS = 1000  # updates of the schedule, of which one is counted


def batch_shots(prepared: PreparedCase) -> int:
    """Return how many rows of each class the counted batch has."""
    task, train = prepared.task, prepared.examples["train"]
    if task.generative or task.token_labels:
        return min(MAX_SHOTS, len(train))
    rows = tally(example.label for example in train)
    return max(
        1,
        min(
            MAX_SHOTS,
            MAX_ROWS // len(task.labels),
            *(rows[label] for label in range(len(task.labels))),
        ),
    )


def count_update(prepared: PreparedCase) -> Json:
    """Count an update with its optimiser state, or an evaluation if the method does not train.

    `stray bytes` belong to tensors that applying the method left alive outside the model, which
    the update does not use.
    """
    context = PreparedSeed(prepared, 0, batch_shots(prepared))
    torch.manual_seed(0)
    loaded = prepared.loaded()
    with gc_paused(), OpCounter() as counter:
        model = prepared.method.apply(loaded.model)
    # Tensors that only reference cycles hold are not stray.
    gc.collect()
    in_model = {counter.serial(tensor) for tensor in tensors_of_model(model)}
    stray = counter.total - sum(counter.size(serial) for serial in in_model)
    if not prepared.method.trains:
        rows = context.rows
        return _with_units(
            count_step(lambda: class_logits(model, prepared.interface, rows), model, None), stray
        )
    stage = context.stage(prepared.method.recipe)
    training = Training(model, prepared.method, stage, SCHEDULE_STEPS, 0)
    return _with_units(
        count_step(
            lambda: training.update(list(range(len(stage.rows)))), model, training.optimizer
        ),
        stray,
    )


def _with_units(counts: UpdateCounts, stray: int) -> Json:
    """Return the counts by the names that reports show, such as "peak bytes"."""
    named = {
        name if name in ("operations", "flops") else f"{name} bytes": value
        for name, value in asdict(counts).items()
    }
    return named | {"stray bytes": stray}
