"""The training loop: the only one, for every method.

Order, dropout and the new head depend on the seed alone, so on a CPU the same seed on the same stack repeats to the last bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import get_linear_schedule_with_warmup

from pytest_ftcompare.experiment.ask import Rows
from pytest_ftcompare.experiment.trial import Stage

if TYPE_CHECKING:
    from methods.base import Method, Recipe

Progress = Callable[[int, int, float], None]  # step, steps, loss; zeros when evaluation begins


class TrainingError(RuntimeError):
    """Training gave something that cannot be compared; the message says at which step."""


@dataclass(frozen=True)
class Step:
    """What one update saw: mean loss over its rows, global gradient norm before clipping, and its time in seconds."""

    loss: float
    norm: float
    seconds: float


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that train, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def make_optimizer(model: nn.Module, stage: Stage) -> torch.optim.Optimizer:
    """AdamW over what trains, torch's own defaults apart from the recipe's."""
    parameters = [*trainable(model).values(), *stage.own]
    return torch.optim.AdamW(parameters, lr=stage.recipe.lr, weight_decay=stage.recipe.weight_decay)


def orders(count: int, recipe: Recipe, seed: int) -> Iterator[list[int]]:
    """Row numbers of each update: another permutation each epoch, the last batch of an epoch may be short."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(recipe.epochs):
        order = torch.randperm(count, generator=generator).tolist()
        yield from (order[at : at + recipe.batch] for at in range(0, count, recipe.batch))


def backward(model: nn.Module, stage: Stage, chosen: list[int], micro_batches: int) -> float:
    """Accumulate the gradient of the mean loss over the chosen rows, in micro-batches weighted by their share; the loss."""
    size = -(-len(chosen) // micro_batches)
    total = 0.0
    for at in range(0, len(chosen), size):
        part = chosen[at : at + size]
        rows: Rows = [stage.rows[number] for number in part]
        loss = stage.loss(model, rows, stage.targets[part]) * (len(part) / len(chosen))
        loss.backward()
        total += loss.item()
    return total


def train(model: nn.Module, method: Method, stage: Stage, seed: int, progress: Progress) -> list[Step]:
    """Train `model` in place on the stage's rows; what each update saw."""
    recipe = stage.recipe
    updates = list(orders(len(stage.rows), recipe, seed))
    optimizer = make_optimizer(model, stage)
    schedule = get_linear_schedule_with_warmup(optimizer, round(recipe.warmup * len(updates)), len(updates))
    parameters = [*trainable(model).values(), *stage.own]
    torch.manual_seed(seed)
    model.train()
    method.after_step(model, 0, len(updates))
    steps: list[Step] = []
    for number, order in enumerate(updates, start=1):
        start = time.perf_counter()
        loss = backward(model, stage, order, recipe.accumulate)
        norm = nn.utils.clip_grad_norm_(parameters, recipe.clip).item()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingError(
                f"expected a finite loss and gradient norm, got {loss:g} and {norm:g} at step {number} of {len(updates)} "
                f"(seed {seed}): lower the learning rate {recipe.lr:g}, or look at what changed"
            )
        optimizer.step()
        schedule.step()
        method.after_step(model, number, len(updates))
        optimizer.zero_grad()
        steps.append(Step(loss, norm, time.perf_counter() - start))
        progress(number, len(updates), loss)
    return steps
