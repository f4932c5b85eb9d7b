"""Measure a run's random draws: the size of initial tensors, dropout's effect, the seeds' rows.

`probe.py`, `invariants.py` and `gate/torch_case.py` call it. A library that draws other numbers
from the same distribution gives the same measurements within their noise.
"""

from __future__ import annotations

import torch
from torch import nn

from pytest_ftcompare.methods.base import Stage
from pytest_ftcompare.results.result import DROPOUT_DRAWS, Json, rounded
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed, training_rows_digest
from pytest_ftcompare.training.train import trainable_parameters

DIGITS = 6  # significant digits of a recorded number, chosen


def initial_sizes(model: nn.Module, new: set[str]) -> Json:
    """Return the root mean square and the number of elements of each new trainable tensor."""
    sizes = {}
    for name, parameter in trainable_parameters(model).items():
        if name in new:
            square = parameter.detach().double().square().mean().item()
            sizes[name] = [rounded(square**0.5, DIGITS), parameter.numel()]
    return sizes


def _seed_device(number: int, device: torch.device) -> None:
    """Seed as `torch.manual_seed` does.

    On a CPU, skip the stack trace that torch keeps for each absent kind of GPU: it takes
    milliseconds.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)


@torch.no_grad()
def measure_dropout(model: nn.Module, stage: Stage) -> list[float]:
    """Return mean and SD of the stage's loss over `DROPOUT_DRAWS` draws of dropout.

    The model stays in training mode.
    """
    model.train()
    losses = []
    with torch.random.fork_rng():
        for seed in range(DROPOUT_DRAWS):
            _seed_device(seed, stage.targets.device)
            losses.append(stage.loss(model, stage.rows, stage.targets).double())
    stacked = torch.stack(losses)
    return [rounded(stacked.mean().item(), DIGITS), rounded(stacked.std().item(), DIGITS)]


def training_rows_by_seed(prepared: PreparedCase, seeds: int) -> dict[str, str]:
    """Return the digest of each seed's training rows, by seed."""
    return {
        str(seed): training_rows_digest(PreparedSeed(prepared, seed, prepared.case.shots))
        for seed in range(seeds)
    }
