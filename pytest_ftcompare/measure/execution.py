"""The execution of one update, counted: what a case's own step does, on a model made afresh and a fixed batch."""

from __future__ import annotations

from dataclasses import asdict

import torch

from pytest_ftcompare.experiment.evaluate import class_logits
from pytest_ftcompare.experiment.prepare import Prepared
from pytest_ftcompare.experiment.train import Training
from pytest_ftcompare.experiment.trial import Trial
from pytest_ftcompare.measure.count import Counts, count
from pytest_ftcompare.result import Json

SHOTS = 8  # rows a class of the counted batch


def execution(prepared: Prepared) -> Json:
    """Counts of an update, optimiser state included; of an evaluation where nothing trains."""
    trial = Trial(prepared, 0, SHOTS)
    torch.manual_seed(0)
    model = prepared.adapted()
    if not prepared.method.trains:
        return _named(count(lambda: class_logits(model, prepared.ask, trial.rows), model, None))
    stage = trial.stage(prepared.method.recipe)
    training = Training(model, prepared.method, stage, 1, 0)
    return _named(count(lambda: training.update(list(range(len(stage.rows)))), model, training.optimizer))


def _named(counts: Counts) -> Json:
    """With the unit in the name, as a report shows it."""
    return {name if name in ("operations", "flops") else f"{name} bytes": value for name, value in asdict(counts).items()}
