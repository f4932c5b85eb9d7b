"""The training loop: the only one of our own, for every method. What is timed is its update, not a copy of it.

Order, dropout and the new head depend on the seed alone, so on a CPU the same seed on the same stack repeats to the last bit.
`hf_trainer.py` trains the same stages with transformers.Trainer.
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

Progress = Callable[[int, int, float], None]  # step, steps, loss; zeros when evaluation begins
Engine = Callable[
    [nn.Module, "Method", Stage, int, Progress], list["Step"]
]  # `train`, and what stands in for it


class TrainingError(RuntimeError):
    """Training gave something that cannot be compared; the message says at which step."""


@dataclass(frozen=True)
class Step:
    """What one update saw: mean loss over its rows, and global gradient norm before clipping."""

    loss: float
    norm: float


def check_finite(step: Step, number: int, steps: int, seed: int, recipe: Recipe) -> Step:
    """The step; a loss or norm that is not finite is a `TrainingError`."""
    if not (math.isfinite(step.loss) and math.isfinite(step.norm)):
        raise TrainingError(
            f"expected a finite loss and gradient norm, got {step.loss:g} and {step.norm:g} at step {number} of {steps} "
            f"(seed {seed}): lower the learning rate {recipe.lr:g}, or look at what changed"
        )
    return step


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that train, by name."""
    return {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }


def make_optimizer(model: nn.Module, stage: Stage) -> torch.optim.Optimizer:
    """AdamW over what trains, torch's own defaults apart from the recipe's."""
    parameters = [*trainable(model).values(), *stage.extra_parameters]
    return torch.optim.AdamW(parameters, lr=stage.recipe.lr, weight_decay=stage.recipe.weight_decay)


def batch_orders(count: int, recipe: Recipe, seed: int) -> Iterator[list[int]]:
    """Row numbers of each update: another permutation each epoch, the last batch of an epoch may be short."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(recipe.epochs):
        order = torch.randperm(count, generator=generator).tolist()
        yield from (order[at : at + recipe.batch_size] for at in range(0, count, recipe.batch_size))


def backward(
    model: nn.Module, stage: Stage, chosen: list[int], micro_batches: int
) -> list[torch.Tensor]:
    """Accumulate the gradient of the mean loss over the chosen rows, in micro-batches weighted by their share.

    The micro-batches' parts of the loss, still on the device: reading a number would make the host wait for it.
    """
    size = -(-len(chosen) // micro_batches)
    losses = []
    for at in range(0, len(chosen), size):
        part = chosen[at : at + size]
        rows: Rows = [stage.rows[number] for number in part]
        loss = stage.loss(model, rows, stage.targets[part]) * (len(part) / len(chosen))
        loss.backward()
        losses.append(loss.detach())
    return losses


class Training:
    """A model in training on a stage: its optimiser and schedule, and one `update` after the other."""

    def __init__(
        self, model: nn.Module, method: Method, stage: Stage, steps: int, seed: int
    ) -> None:
        self.model, self.method, self.stage = model, method, stage
        self.steps, self.seed, self.number = steps, seed, 0
        self.parameters = [*trainable(model).values(), *stage.extra_parameters]
        self.optimizer = make_optimizer(model, stage)
        self.schedule = get_linear_schedule_with_warmup(
            self.optimizer, round(stage.recipe.warmup_share * steps), steps
        )
        torch.manual_seed(seed)
        model.train()
        method.after_step(model, 0, steps)

    def update(self, chosen: list[int]) -> Step:
        """One update on the chosen rows; the device is done with it when this returns."""
        recipe = self.stage.recipe
        self.number += 1
        losses = backward(self.model, self.stage, chosen, recipe.micro_batches)
        norm = nn.utils.clip_grad_norm_(self.parameters, recipe.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        self.method.after_step(self.model, self.number, self.steps)
        self.optimizer.zero_grad()
        *parts, size = torch.stack([*losses, norm.to(losses[0].dtype)]).tolist()
        return check_finite(Step(sum(parts), size), self.number, self.steps, self.seed, recipe)


def train(
    model: nn.Module, method: Method, stage: Stage, seed: int, progress: Progress
) -> list[Step]:
    """Train `model` in place on the stage's rows; what each update saw."""
    updates = list(batch_orders(len(stage.rows), stage.recipe, seed))
    training = Training(model, method, stage, len(updates), seed)
    steps: list[Step] = []
    for chosen in updates:
        steps.append(training.update(chosen))
        progress(training.number, len(updates), steps[-1].loss)
    return steps
