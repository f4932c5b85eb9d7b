"""What a run draws at random, measured so that a library which draws other numbers of the same kind measures the same.

For the probe's record: the size of what initialisation drew, how far dropout moves the loss, and the rows of the seeds.
"""

from __future__ import annotations

import torch
from torch import nn

from pytest_ftcompare.methods.base import Stage
from pytest_ftcompare.results.result import DROPOUT_DRAWS, Json, rounded
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed, training_rows_digest
from pytest_ftcompare.training.train import trainable

DIGITS = 6


def initial_sizes(model: nn.Module, new: set[str]) -> Json:
    """For each trainable tensor that the method or the head made: root mean square as drawn, and number of elements."""
    found = {}
    for name, parameter in trainable(model).items():
        if name in new:
            square = parameter.detach().double().square().mean().item()
            found[name] = [rounded(square**0.5, DIGITS), parameter.numel()]
    return found


def _seed_device(number: int, device: torch.device) -> None:
    """torch.manual_seed, but without the copy of the stack that it keeps for each kind of GPU that is
    not there: on a CPU that takes milliseconds."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)


@torch.no_grad()
def measure_dropout(model: nn.Module, stage: Stage) -> list[float]:
    """Mean and SD of the stage's loss over `DRAWS` draws of dropout; leaves the model in training mode."""
    model.train()
    losses = []
    with torch.random.fork_rng():
        for seed in range(DROPOUT_DRAWS):
            _seed_device(seed, stage.targets.device)
            losses.append(stage.loss(model, stage.rows, stage.targets).double())
    together = torch.stack(losses)
    return [rounded(together.mean().item(), DIGITS), rounded(together.std().item(), DIGITS)]


def training_rows_by_seed(prepared: PreparedCase, seeds: int) -> dict[str, str]:
    """Seed -> the name of its training rows."""
    return {
        str(seed): training_rows_digest(PreparedSeed(prepared, seed, prepared.case.shots))
        for seed in range(seeds)
    }
