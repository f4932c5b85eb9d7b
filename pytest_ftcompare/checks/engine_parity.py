"""Both engines held to each other on one case, update by update, without a baseline (docs/engines.md).

They sum in another order, so they agree to rounding: of the loss, of the gradients against their global norm. Adam divides a
gradient by its own size, and turns the rounding of one near zero into whole steps: a parameter's tolerance is what the
gradients' rounding can have made of its steps so far.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pytest_ftcompare.checks.probe import without_dropout
from pytest_ftcompare.methods.base import Stage
from pytest_ftcompare.training import hf_trainer, train
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import Engine, Step

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Method

Tensors = dict[str, torch.Tensor]
ROUNDING = 1e-5  # of a loss (of logarithms near one) and the global gradient norm; a hundred times float32's, for long sums
# Of the norm, for one row of a gradient: a unit whose input lies within rounding of ReLU's corner is on in one
# engine and off in the other. Seen once, 3.1e-5 with AVX2. Raising it hides what concerns a single unit.
RELU_TOLERANCE = 1e-4
EXTRA_PREFIX = "own."  # how the Trainer's model calls a stage's own parameters
MAX_ADAM_STEP = 3.2  # learning rates: Adam's largest step, (1 - beta1) / sqrt(1 - beta2)


@dataclass(frozen=True)
class Update:
    """What an update left: the gradients as they were clipped, and the parameters."""

    gradients: Tensors
    parameters: Tensors


class Recorder:
    """Stands in for a method while it trains, and keeps what each update left."""

    def __init__(self, method: Method, stage: Stage) -> None:
        self.method, self.extra_parameters = (
            method,
            {f"{EXTRA_PREFIX}{number}": one for number, one in enumerate(stage.extra_parameters)},
        )
        self.updates: list[Update] = []

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        self.method.after_step(model, step, steps)
        if step:
            trained = train.trainable(model) | self.extra_parameters
            gradients = {
                name: one.grad.clone() for name, one in trained.items() if one.grad is not None
            }
            self.updates.append(
                Update(gradients, {name: one.detach().clone() for name, one in trained.items()})
            )


@dataclass(frozen=True)
class RecordedTraining:
    """A stage as an engine trained it."""

    stage: Stage
    steps: list[Step]
    updates: list[Update]


def record_trainings(
    prepared: PreparedCase, engine: Engine, *, dropout: bool = False
) -> list[RecordedTraining]:
    """What the engine makes of each stage of the case, from the same start."""
    torch.manual_seed(0)
    model: Any = prepared.adapted()
    if not dropout:
        without_dropout(model)
        model.train = lambda mode=True: model  # both engines turn it on
    context = PreparedSeed(prepared, 0, prepared.case.shots)
    found = []
    for stage in prepared.method.stages(model, context):
        recorder: Any = Recorder(prepared.method, stage)
        steps = engine(model, recorder, context.check(stage), 0, lambda *_: None)
        found.append(RecordedTraining(stage, steps, recorder.updates))
    return found


class Tolerance:
    """How far rounding may have moved each parameter: by a share of a step where it is a share of the gradient."""

    def __init__(self) -> None:
        self.rounding: Tensors = {}

    def begin(self, stage: Stage) -> None:
        """A stage begins, with a new optimiser, where the one before left the model."""
        self.lr, self.count = stage.recipe.lr, 0
        self.squares: Tensors = {}
        self.rounding = {name: one for name, one in self.rounding.items() if not name.startswith(EXTRA_PREFIX)}

    def add(self, gradients: Tensors) -> None:
        """Take another update's gradients in."""
        self.count += 1
        norm = sum(one.square().sum().item() for one in gradients.values()) ** 0.5
        for name, one in gradients.items():
            self.squares[name] = self.squares.get(name, 0.0) + one.double().square()
            size = (self.squares[name] / self.count).sqrt()
            step = torch.where(size > 0, 2 * ROUNDING * norm / size, 0).clamp(max=MAX_ADAM_STEP)
            self.rounding[name] = self.rounding.get(name, 0.0) + self.lr * step

    def limits(self, name: str, parameter: torch.Tensor) -> torch.Tensor:
        """The tolerance of a parameter's elements."""
        number = 4 * torch.finfo(parameter.dtype).eps * parameter.abs()
        return number + self.rounding[name] if name in self.rounding else number


def _gradient_difference(difference: torch.Tensor, norm: float) -> float:
    """The norm of a difference of gradients; without its largest row where a corner of ReLU explains that."""
    rows = torch.linalg.vector_norm(
        difference.reshape(len(difference) if difference.dim() else 1, -1), dim=1
    )
    explained = len(rows) > 1 and rows.max().item() <= RELU_TOLERANCE * norm
    return float(torch.linalg.vector_norm(rows.sort().values[:-1] if explained else rows))


def _compare_tensors(first: Update, second: Update, norm: float, tolerance: Tolerance) -> Iterator[str]:
    for name in sorted(first.gradients.keys() | second.gradients.keys()):
        if name not in first.gradients or name not in second.gradients:
            yield f"{name} has a gradient by only one of them"
        elif (size := _gradient_difference(first.gradients[name] - second.gradients[name], norm)) > ROUNDING * norm:
            yield f"the gradient of {name} differs by {size:.2g}, of {norm:.2g} in all"
    for name, one in first.parameters.items():
        off = (one - second.parameters[name]).abs()
        if not (off <= tolerance.limits(name, one)).all():
            yield f"{name} differs by {off.max().item() / tolerance.lr:.2g} learning rates"


def _compare_stages(
    first: RecordedTraining, second: RecordedTraining, tolerance: Tolerance
) -> Iterator[str]:
    tolerance.begin(first.stage)
    for number, (a, b) in enumerate(zip(first.steps, second.steps, strict=True)):
        where = f"update {number + 1} of {len(first.steps)} must be the same by both engines"
        for what, left, right in (("loss", a.loss, b.loss), ("gradient norm", a.norm, b.norm)):
            if abs(left - right) > ROUNDING * max(1.0, left):
                yield f"{where}: {what} {left:.6g} by the loop, {right:.6g} by the Trainer"
        tolerance.add(first.updates[number].gradients)
        norm = min(a.norm, first.stage.recipe.max_grad_norm)
        yield from (
            f"{where}: {one}"
            for one in _compare_tensors(first.updates[number], second.updates[number], norm, tolerance)
        )


def differences(prepared: PreparedCase, *, dropout: bool = False) -> Iterator[str]:
    """What the engines do differently, update by update."""
    tolerance = Tolerance()
    loop, trainer = (
        record_trainings(prepared, one, dropout=dropout)
        for one in (train.train, hf_trainer.train)
    )
    for first, second in zip(loop, trainer, strict=True):
        if len(first.steps) != len(second.steps):
            yield f"expected {len(first.steps)} updates by both engines, the Trainer made {len(second.steps)}"
            return
        yield from _compare_stages(first, second, tolerance)
