"""Compare both engines on one case, update by update, without a baseline (docs/engines.md).

`suites/test_engines.py` calls `differences`. The engines sum in a different order, so losses and
gradients agree to rounding. Adam divides a gradient by its own size, so rounding of a gradient near
zero can move a whole step. A parameter's tolerance is therefore what the rounding of its gradients
can have made of its steps so far.
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
# Share of a loss (of logarithms near one) and of the global gradient norm. A hundred times
# float32's rounding, for long sums; differences measured below 1e-6. Raising it hides small
# differences.
ROUNDING = 1e-5
# Share of the gradient norm, allowed in one row of a gradient: a unit with an input within rounding
# of ReLU's corner is on in one engine and off in the other. Measured once: 3.1e-5 with AVX2.
# Raising it hides differences in a single unit.
RELU_TOLERANCE = 1e-4
# Prefix of a stage's extra parameters, as hf_trainer.py attaches them to the model.
EXTRA_PREFIX = "extra_parameters."
# Adam's largest step, (1 - beta1) / sqrt(1 - beta2), in learning rates.
MAX_ADAM_STEP = 3.2


@dataclass(frozen=True)
class Update:
    """Clipped gradients and parameters after an update."""

    gradients: Tensors
    parameters: Tensors


class Recorder:
    """Replaces a method during training, and records each update."""

    def __init__(self, method: Method, stage: Stage) -> None:
        self.method, self.extra_parameters = (
            method,
            {
                f"{EXTRA_PREFIX}{number}": parameter
                for number, parameter in enumerate(stage.extra_parameters)
            },
        )
        self.updates: list[Update] = []

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        self.method.after_step(model, step, steps)
        if step:
            trained = train.trainable_parameters(model) | self.extra_parameters
            gradients = {
                name: parameter.grad.clone()
                for name, parameter in trained.items()
                if parameter.grad is not None
            }
            self.updates.append(
                Update(
                    gradients,
                    {name: parameter.detach().clone() for name, parameter in trained.items()},
                )
            )


@dataclass(frozen=True)
class RecordedTraining:
    """A stage as one engine trained it."""

    stage: Stage
    steps: list[Step]
    updates: list[Update]


def record_trainings(
    prepared: PreparedCase, engine: Engine, *, dropout: bool = False
) -> list[RecordedTraining]:
    """Train each stage of the case with the engine, from the same start; return the records."""
    torch.manual_seed(0)
    model: Any = prepared.adapted()
    if not dropout:
        without_dropout(model)
        # Both engines would turn dropout on.
        model.train = lambda mode=True: model
    context = PreparedSeed(prepared, 0, prepared.case.shots)
    trainings = []
    for stage in prepared.method.stages(model, context):
        recorder: Any = Recorder(prepared.method, stage)
        steps = engine(model, recorder, context.check(stage), 0, lambda *_: None)
        trainings.append(RecordedTraining(stage, steps, recorder.updates))
    return trainings


class Tolerance:
    """The difference that rounding can have made in each parameter.

    A gradient's rounding moves the same share of a step as it is of the gradient.
    """

    def __init__(self) -> None:
        self.rounding: Tensors = {}

    def begin(self, stage: Stage) -> None:
        """Begin a stage: a new optimiser on the model that the last stage left."""
        self.lr, self.count = stage.recipe.lr, 0
        self.squares: Tensors = {}
        self.rounding = {
            name: moved
            for name, moved in self.rounding.items()
            if not name.startswith(EXTRA_PREFIX)
        }

    def add(self, gradients: Tensors) -> None:
        """Add the gradients of the next update."""
        self.count += 1
        norm = sum(gradient.square().sum().item() for gradient in gradients.values()) ** 0.5
        for name, gradient in gradients.items():
            self.squares[name] = self.squares.get(name, 0.0) + gradient.double().square()
            size = (self.squares[name] / self.count).sqrt()
            step = torch.where(size > 0, 2 * ROUNDING * norm / size, 0).clamp(max=MAX_ADAM_STEP)
            self.rounding[name] = self.rounding.get(name, 0.0) + self.lr * step

    def limits(self, name: str, parameter: torch.Tensor) -> torch.Tensor:
        """Return the tolerance of each element of a parameter."""
        float_rounding = 4 * torch.finfo(parameter.dtype).eps * parameter.abs()
        return float_rounding + self.rounding[name] if name in self.rounding else float_rounding


def _gradient_difference(difference: torch.Tensor, norm: float) -> float:
    """Return the norm of a difference of gradients, less its largest row if ReLU explains that."""
    rows = torch.linalg.vector_norm(
        difference.reshape(len(difference) if difference.dim() else 1, -1), dim=1
    )
    explained = len(rows) > 1 and rows.max().item() <= RELU_TOLERANCE * norm
    return float(torch.linalg.vector_norm(rows.sort().values[:-1] if explained else rows))


def _compare_tensors(
    first: Update, second: Update, norm: float, tolerance: Tolerance
) -> Iterator[str]:
    for name in sorted(first.gradients.keys() | second.gradients.keys()):
        if name not in first.gradients or name not in second.gradients:
            yield f"{name} has a gradient by only one of them"
        elif (
            size := _gradient_difference(first.gradients[name] - second.gradients[name], norm)
        ) > ROUNDING * norm:
            yield f"the gradient of {name} differs by {size:.2g}, of {norm:.2g} in all"
    for name, parameter in first.parameters.items():
        difference = (parameter - second.parameters[name]).abs()
        if not (difference <= tolerance.limits(name, parameter)).all():
            yield f"{name} differs by {difference.max().item() / tolerance.lr:.2g} learning rates"


def _compare_stages(
    first: RecordedTraining, second: RecordedTraining, tolerance: Tolerance
) -> Iterator[str]:
    tolerance.begin(first.stage)
    for number, (loop, trainer) in enumerate(zip(first.steps, second.steps, strict=True)):
        where = f"update {number + 1} of {len(first.steps)} must be the same by both engines"
        for quantity, left, right in (
            ("loss", loop.loss, trainer.loss),
            ("gradient norm", loop.norm, trainer.norm),
        ):
            if abs(left - right) > ROUNDING * max(1.0, left):
                yield f"{where}: {quantity} {left:.6g} by the loop, {right:.6g} by the Trainer"
        tolerance.add(first.updates[number].gradients)
        norm = min(loop.norm, first.stage.recipe.max_grad_norm)
        yield from (
            f"{where}: {sentence}"
            for sentence in _compare_tensors(
                first.updates[number], second.updates[number], norm, tolerance
            )
        )


def differences(prepared: PreparedCase, *, dropout: bool = False) -> Iterator[str]:
    """Yield a sentence for each difference between the engines, update by update.

    Another number of updates raises `TrainingError`.
    """
    tolerance = Tolerance()
    loop, trainer = (
        record_trainings(prepared, engine, dropout=dropout)
        for engine in (train.train, hf_trainer.train)
    )
    for first, second in zip(loop, trainer, strict=True):
        yield from _compare_stages(first, second, tolerance)
