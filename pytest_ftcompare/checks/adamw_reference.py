"""The loop's updates against AdamW as it is defined, without a baseline: what an optimiser forgets shows after the first step.

A few updates on parts of the probe's batch, dropout off, are held to the formulas of Loshchilov and Hutter (arXiv:1711.05101,
algorithm 2) after clipping by the global norm, with the linear schedule that every recipe has. The limit is half of the whole
batch's norm and the decay is on, so that both act, whatever the recipe says. One update, as the probe has it, cannot see a
state that is lost, a gradient that is kept, a schedule that stands still. But for the norm, AdamW treats each number by itself:
of a large tensor, numbers spread all over it are looked at.
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
from pytest_ftcompare.training.train import Training, backward, trainable

STEPS = 12
WARMUP_STEPS = 1  # updates; the first has a rate of zero
BATCH_PARTS = 3  # of the batch, in turn: with one gradient again and again, no average would tell
WEIGHT_DECAY = 1.0
MIN_SAMPLE = 2**14  # numbers of a tensor, at least, if it has as many
BETAS, EPSILON = (0.9, 0.999), 1e-8  # torch's defaults, which every recipe uses
TOLERANCE = 0.02  # of a parameter's largest step, the learning rate
GRADIENT_FLOOR = 1e-6  # of the limit: a gradient below it is rounding, which Adam turns into whole steps


def _schedule_factor(number: int) -> float:
    """The schedule's factor in update `number`, from 0."""
    return number / WARMUP_STEPS if number < WARMUP_STEPS else (STEPS - number) / (STEPS - WARMUP_STEPS)


def _sample_elements(tensor: torch.Tensor) -> torch.Tensor:
    """Numbers from all over a tensor, in double precision: every so many, a count that leaves no column out."""
    step = max(1, tensor.numel() // MIN_SAMPLE)
    while math.gcd(step, tensor.shape[-1] if tensor.ndim else 1) > 1:
        step -= 1
    return tensor.detach().reshape(-1)[::step].double()


def _gradients(
    model: nn.Module, stage: Stage, chosen: list[int]
) -> tuple[float, dict[str, torch.Tensor]]:
    """The norm of some rows' gradient, and a sample of its numbers; what the loop left in place stays there."""
    parameters = trainable(model)
    left = {name: one.grad for name, one in parameters.items()}
    for one in parameters.values():
        one.grad = None
    backward(model, stage, chosen, stage.recipe.micro_batches)
    gradients = {name: one.grad for name, one in parameters.items() if one.grad is not None}
    norm = math.sqrt(
        sum(gradient.norm(dtype=torch.float64).item() ** 2 for gradient in gradients.values())
    )
    for name, one in parameters.items():
        one.grad = left[name]
    return norm, {name: _sample_elements(gradient) for name, gradient in gradients.items()}


class AdamWReference:
    """AdamW by its definition, in double precision."""

    def __init__(self, lr: float, clip: float) -> None:
        self.lr, self.clip = lr, clip
        self.moments: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def step(
        self,
        number: int,
        before: dict[str, torch.Tensor],
        norm: float,
        gradients: dict[str, torch.Tensor],
    ) -> dict[str, torch.Tensor]:
        """The parameters after update `number`, from 0; not a number where the gradients so far are rounding.

        `norm` is the whole gradient's.
        """
        scale = min(1.0, self.clip / (norm + 1e-6))
        lr, found = self.lr * _schedule_factor(number), {}
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
            found[name] = torch.where(square.sqrt() > GRADIENT_FLOOR * self.clip, after, torch.nan)
        return found


def check_adamw(prepared: PreparedCase, model: nn.Module, stage: Stage) -> Iterator[str]:
    """The first update that is not AdamW's; a method that does more after a step is not looked at. Trains the model."""
    if any("after_step" in vars(kind) for kind in type(prepared.method).__mro__[:-2]):
        return
    without_dropout(model)
    model.zero_grad()  # of what was done to the model before
    clip = _gradients(model, stage, all_rows(stage))[0] / 2
    stage = replace(
        stage,
        recipe=replace(
            stage.recipe, max_grad_norm=clip, weight_decay=WEIGHT_DECAY, warmup_share=WARMUP_STEPS / STEPS
        ),
    )
    training = Training(model, prepared.method, stage, STEPS, seed=0)
    without_dropout(model)
    reference = AdamWReference(stage.recipe.lr, clip)
    for number in range(STEPS):
        chosen = all_rows(stage)[number % BATCH_PARTS :: BATCH_PARTS]
        norm, gradients = _gradients(model, stage, chosen)
        before = {name: _sample_elements(one) for name, one in trainable(model).items()}
        training.update(chosen)
        expected = reference.step(number, before, norm, gradients)
        for name, one in trainable(model).items():
            if name not in expected:
                continue
            rounding = 4 * torch.finfo(one.dtype).eps * before[name].abs()
            right, after = expected[name], _sample_elements(one)
            if not ((after - right).abs() <= TOLERANCE * stage.recipe.lr + rounding)[
                ~right.isnan()
            ].all():
                step, right = (
                    (x - before[name]).nan_to_num().norm().item() for x in (after, right)
                )
                of = f" (of {len(after):,} of its numbers)" if len(after) < one.numel() else ""
                yield (
                    f"update {number + 1} of {STEPS} must be AdamW's, clipped, with linear warm-up and decay: {name} moved by "
                    f"{step:.3g}, expected {right:.3g}{of}"
                )
                return
