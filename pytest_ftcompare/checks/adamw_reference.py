"""Compare the loop's updates with the definition of AdamW; `invariants.py` calls `check_adamw`.

A few updates on parts of the probe's batch, dropout off, must follow algorithm 2 of Loshchilov and
Hutter (arXiv:1711.05101), after clipping by the global norm, with the recipes' linear schedule. The
clipping limit is half of the whole batch's gradient norm, and weight decay is on: both act,
whatever the recipe. The probe's single update cannot show a lost optimiser state, a gradient that
is not cleared, or a schedule that stands still. Except for the norm, AdamW treats each element by
itself: in a large tensor, a sample of elements is compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn

from pytest_ftcompare.checks.probe import all_rows, without_dropout
from pytest_ftcompare.methods.base import Stage
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.train import Training, backward, trainable_parameters

STEPS = 12  # updates, chosen
WARMUP_STEPS = 1  # updates, chosen; the first has a rate of zero
# Parts of the batch, taken in turn, chosen. With the same gradient each time, a wrong average of
# gradients would not show.
BATCH_PARTS = 3
WEIGHT_DECAY = 1.0  # chosen, large enough to act within a few updates
# Least number of elements compared in a tensor, if it has as many; chosen. Raising it costs time.
MIN_SAMPLE = 2**14
BETAS, EPSILON = (0.9, 0.999), 1e-8  # torch's defaults, which every recipe uses
# Share of a parameter's largest step, the learning rate; chosen. Raising it hides small errors.
TOLERANCE = 0.02
# Share of the clipping limit, chosen. A smaller gradient is rounding, which Adam turns into whole
# steps: it is not compared. Raising it compares fewer elements.
GRADIENT_FLOOR = 1e-6


def _schedule_factor(number: int) -> float:
    """Return the schedule's factor of the learning rate in update `number`, from 0."""
    return (
        number / WARMUP_STEPS
        if number < WARMUP_STEPS
        else (STEPS - number) / (STEPS - WARMUP_STEPS)
    )


def _sample_elements(tensor: torch.Tensor) -> torch.Tensor:
    """Return evenly spaced elements in double precision; the stride leaves no column out."""
    stride = max(1, tensor.numel() // MIN_SAMPLE)
    while math.gcd(stride, tensor.shape[-1] if tensor.ndim else 1) > 1:
        stride -= 1
    return tensor.detach().reshape(-1)[::stride].double()


def _gradients(
    model: nn.Module, stage: Stage, chosen: list[int]
) -> tuple[float, dict[str, torch.Tensor]]:
    """Return the gradient norm of some rows and a sample of each gradient; keep the model's own."""
    parameters = trainable_parameters(model)
    left = {name: parameter.grad for name, parameter in parameters.items()}
    for parameter in parameters.values():
        parameter.grad = None
    backward(model, stage, chosen, stage.recipe.micro_batches)
    gradients = {
        name: parameter.grad for name, parameter in parameters.items() if parameter.grad is not None
    }
    norm = math.sqrt(
        sum(gradient.norm(dtype=torch.float64).item() ** 2 for gradient in gradients.values())
    )
    for name, parameter in parameters.items():
        parameter.grad = left[name]
    return norm, {name: _sample_elements(gradient) for name, gradient in gradients.items()}


class AdamWReference:
    """AdamW by its definition, in double precision."""

    def __init__(self, lr: float, max_grad_norm: float) -> None:
        self.lr, self.max_grad_norm = lr, max_grad_norm
        self.moments: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def step(
        self,
        number: int,
        before: dict[str, torch.Tensor],
        norm: float,
        gradients: dict[str, torch.Tensor],
    ) -> dict[str, torch.Tensor]:
        """Return the parameters after update `number`, from 0; NaN where gradients are rounding.

        `norm` is the norm of the whole gradient.
        """
        scale = min(1.0, self.max_grad_norm / (norm + 1e-6))
        lr, updated = self.lr * _schedule_factor(number), {}
        for name, gradient in gradients.items():
            clipped = gradient * scale
            first, second = self.moments.get(
                name, (torch.zeros_like(clipped), torch.zeros_like(clipped))
            )
            first = BETAS[0] * first + (1 - BETAS[0]) * clipped
            second = BETAS[1] * second + (1 - BETAS[1]) * clipped.square()
            self.moments[name] = first, second
            mean, square = (
                first / (1 - BETAS[0] ** (number + 1)),
                second / (1 - BETAS[1] ** (number + 1)),
            )
            after = before[name] * (1 - lr * WEIGHT_DECAY) - lr * mean / (square.sqrt() + EPSILON)
            updated[name] = torch.where(
                square.sqrt() > GRADIENT_FLOOR * self.max_grad_norm, after, torch.nan
            )
        return updated


def check_adamw(prepared: PreparedCase, model: nn.Module, stage: Stage) -> Iterator[str]:
    """Yield a sentence for the first update that is not AdamW's. Trains the model.

    A method with its own `after_step` is not checked.
    """
    if any("after_step" in vars(kind) for kind in type(prepared.method).__mro__[:-2]):
        return
    without_dropout(model)
    # Earlier checks may have left gradients.
    model.zero_grad()
    max_grad_norm = _gradients(model, stage, all_rows(stage))[0] / 2
    stage = replace(
        stage,
        recipe=replace(
            stage.recipe,
            max_grad_norm=max_grad_norm,
            weight_decay=WEIGHT_DECAY,
            warmup_share=WARMUP_STEPS / STEPS,
        ),
    )
    training = Training(model, prepared.method, stage, STEPS, seed=0)
    without_dropout(model)
    reference = AdamWReference(stage.recipe.lr, max_grad_norm)
    for number in range(STEPS):
        chosen = all_rows(stage)[number % BATCH_PARTS :: BATCH_PARTS]
        norm, gradients = _gradients(model, stage, chosen)
        before = {
            name: _sample_elements(parameter)
            for name, parameter in trainable_parameters(model).items()
        }
        training.update(chosen)
        expected = reference.step(number, before, norm, gradients)
        for name, parameter in trainable_parameters(model).items():
            if name not in expected:
                continue
            rounding = 4 * torch.finfo(parameter.dtype).eps * before[name].abs()
            right, after = expected[name], _sample_elements(parameter)
            if not ((after - right).abs() <= TOLERANCE * stage.recipe.lr + rounding)[
                ~right.isnan()
            ].all():
                step, right = (
                    (value - before[name]).nan_to_num().norm().item() for value in (after, right)
                )
                sampled = (
                    f" (of {len(after):,} of its numbers)" if len(after) < parameter.numel() else ""
                )
                yield (
                    f"update {number + 1} of {STEPS} must be AdamW's, clipped, with linear warm-up "
                    f"and decay: {name} moved by {step:.3g}, expected {right:.3g}{sampled}"
                )
                return
