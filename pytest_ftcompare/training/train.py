"""Train a stage with this project's own loop, for every method; cost is timed on the same update.

`run_seed.py` calls `train`. Order, dropout and a new head depend on the seed alone: on a CPU, the
same seed on the same stack repeats bit for bit. `hf_trainer.py` trains the same stages with
transformers.Trainer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import get_linear_schedule_with_warmup

from pytest_ftcompare.methods.base import Rows, Stage

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Method, Recipe

Progress = Callable[[int, int, float], None]  # step, steps, loss; all 0 when evaluation starts
# `train`, or a function that replaces it
Engine = Callable[[nn.Module, "Method", Stage, int, Progress], list["Step"]]


class TrainingError(RuntimeError):
    """Training gave results that cannot be compared; the message names the step."""


@dataclass(frozen=True)
class Step:
    """An update's mean loss over its rows, and its global gradient norm before clipping."""

    loss: float
    norm: float


def check_finite(step: Step, number: int, steps: int, seed: int, recipe: Recipe) -> Step:
    """Return the step; a loss or norm that is not finite raises `TrainingError`."""
    if not (math.isfinite(step.loss) and math.isfinite(step.norm)):
        raise TrainingError(
            f"expected a finite loss and gradient norm, got {step.loss:g} and {step.norm:g} "
            f"at step {number} of {steps} (seed {seed}): lower the learning rate "
            f"{recipe.lr:g}, or look at what changed"
        )
    return step


def trainable_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that train, by name."""
    return {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }


def make_optimizer(model: nn.Module, stage: Stage) -> torch.optim.Optimizer:
    """Make AdamW over all trained parameters, with torch's defaults except for the recipe."""
    parameters = [*trainable_parameters(model).values(), *stage.extra_parameters]
    return torch.optim.AdamW(parameters, lr=stage.recipe.lr, weight_decay=stage.recipe.weight_decay)


def batch_orders(count: int, recipe: Recipe, seed: int) -> Iterator[list[int]]:
    """Yield each update's row numbers: a permutation per epoch; its last batch may be short."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(recipe.epochs):
        order = torch.randperm(count, generator=generator).tolist()
        yield from (
            order[start : start + recipe.batch_size] for start in range(0, count, recipe.batch_size)
        )


def backward(
    model: nn.Module, stage: Stage, chosen: list[int], micro_batches: int
) -> list[torch.Tensor]:
    """Accumulate the gradient of the mean loss over the chosen rows, in micro-batches.

    Each micro-batch weighs its share of the rows. Return the micro-batches' parts of the loss,
    still on the device: reading a number would make the host wait.
    """
    size = -(-len(chosen) // micro_batches)
    losses = []
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        rows: Rows = [stage.rows[number] for number in part]
        loss = stage.loss(model, rows, stage.targets[part]) * (len(part) / len(chosen))
        loss.backward()
        losses.append(loss.detach())
    return losses


class Training:
    """A model in training on a stage, with its optimiser and schedule."""

    def __init__(
        self, model: nn.Module, method: Method, stage: Stage, steps: int, seed: int
    ) -> None:
        self.model, self.method, self.stage = model, method, stage
        self.steps, self.seed, self.number = steps, seed, 0
        self.parameters = [*trainable_parameters(model).values(), *stage.extra_parameters]
        self.optimizer = make_optimizer(model, stage)
        self.schedule = get_linear_schedule_with_warmup(
            self.optimizer, round(stage.recipe.warmup_share * steps), steps
        )
        torch.manual_seed(seed)
        model.train()
        method.after_step(model, 0, steps)

    def update(self, chosen: list[int]) -> Step:
        """Do one update on the chosen rows; the device has finished when this returns."""
        recipe = self.stage.recipe
        self.number += 1
        losses = backward(self.model, self.stage, chosen, recipe.micro_batches)
        norm = nn.utils.clip_grad_norm_(self.parameters, recipe.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        self.method.after_step(self.model, self.number, self.steps)
        self.optimizer.zero_grad()
        *parts, gradient_norm = torch.stack([*losses, norm.to(losses[0].dtype)]).tolist()
        # Python 3.12 changed how `sum` rounds.
        step = Step(math.fsum(parts), gradient_norm)
        return check_finite(step, self.number, self.steps, self.seed, recipe)


def train(
    model: nn.Module, method: Method, stage: Stage, seed: int, progress: Progress
) -> list[Step]:
    """Train `model` in place on the stage's rows; return each update's loss and gradient norm."""
    updates = list(batch_orders(len(stage.rows), stage.recipe, seed))
    training = Training(model, method, stage, len(updates), seed)
    steps: list[Step] = []
    for chosen in updates:
        steps.append(training.update(chosen))
        progress(training.number, len(updates), steps[-1].loss)
    return steps
