"""Make updates of methods on the pocket model, for tests of their cost."""

from __future__ import annotations

from typing import Any

import torch

from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepare import prepare
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import Training


class Update:
    """The update of all rows of a stage, as a call."""

    def __init__(self, training: Training) -> None:
        self.training = training

    def __call__(self) -> None:
        self.training.update(list(range(len(self.training.stage.rows))))


def make_step(
    method: str, **options: Any
) -> tuple[Any, torch.nn.Module, torch.optim.Optimizer | None]:
    """Return a method's update, or its evaluation if nothing trains; the model; the optimiser."""
    case = Case("test", method, "pocket_sst", "pocket/opt-0.4m", 4, tuple(sorted(options.items())))
    prepared = prepare(case, TrainingConfig("pocket", max_length=192))
    context = PreparedSeed(prepared, 0, 4)
    torch.manual_seed(0)
    model = prepared.adapted()
    if not prepared.method.trains:
        return (lambda: class_logits(model, prepared.interface, context.rows)), model, None
    training = Training(model, prepared.method, context.stage(prepared.method.recipe), 2, 0)
    return Update(training), model, training.optimizer
