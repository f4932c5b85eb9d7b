"""Faults that show late: at the end of a training, or only in some of its updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .change import Case, fault, patch

# 32 rows make two batches of 12 and one of 8.
SHORT_BATCH = (Case("pbft", shots=16, options=(("batch_size", 12),)),)
STAGES = (Case("adapter_fusion"),)
PATTERN = (Case("pbft", shots=16),)


@contextmanager
def _without_effect(training: Any) -> Iterator[None]:
    """Run the update at learning rate zero: it changes nothing and costs the same."""
    rates = [group["lr"] for group in training.optimizer.param_groups]
    for group in training.optimizer.param_groups:
        group["lr"] = 0.0
    yield
    for group, rate in zip(training.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _updates_without_effect(chosen_by: Callable[[Any, list[int]], bool]) -> None:
    from pytest_ftcompare.training import train

    @patch(train.Training, "update")
    def dropping(real: Any, self: Any, chosen: Any) -> Any:
        if not chosen_by(self, chosen):
            return real(self, chosen)
        step = self.optimizer.step

        def stepped(*arguments: Any) -> Any:
            with _without_effect(self):
                return step(*arguments)

        self.optimizer.step = stepped
        try:
            return real(self, chosen)
        finally:
            self.optimizer.step = step


@fault("batches", *SHORT_BATCH)
def short_batch_dropped() -> None:
    """The last, short batch of an epoch brings no update."""

    def is_short(training: Any, chosen: list[int]) -> bool:
        return len(chosen) < training.stage.recipe.batch_size < len(training.stage.rows)

    _updates_without_effect(is_short)


@fault("stages", *STAGES)
def later_stages_not_clipped() -> None:
    """Gradients are not clipped from the second stage on, as if only the first stage's
    optimiser were known."""
    from torch import nn

    from pytest_ftcompare.training import train

    stages: list[Any] = []

    @patch(train.Training, "__init__")
    def counting(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named)
        stages.append(self)

    @patch(nn.utils, "clip_grad_norm_")
    def sometimes(real: Any, parameters: Any, limit: float, *arguments: Any) -> Any:
        return real(parameters, limit if len(stages) < 2 else 1e9, *arguments)


@fault("schedule", *PATTERN)
def decay_ends_too_high() -> None:
    """The second half of the decay is missing: the learning rate stays at half its peak."""
    from torch.optim.lr_scheduler import LambdaLR

    from pytest_ftcompare.training import train

    @patch(train, "get_linear_schedule_with_warmup")
    def high(real: Any, optimizer: Any, warmup: int, steps: int) -> Any:
        schedule = real(optimizer, warmup, steps)
        (share,) = schedule.lr_lambdas
        return LambdaLR(
            optimizer, lambda step: max(share(step), 0.5) if step > warmup else share(step)
        )


@fault("optimiser", *PATTERN)
def last_update_lost() -> None:
    """The last update of a training has no effect."""

    def is_last(training: Any, _: list[int]) -> bool:
        return training.number + 1 == training.steps > 1

    _updates_without_effect(is_last)


@fault("evaluation", *PATTERN)
def last_batch_of_evaluation_repeated() -> None:
    """In evaluation, the rows of a short last batch get the previous batch's answers."""
    from pytest_ftcompare.training import evaluate
    from pytest_ftcompare.training.model_io import ModelInterface

    before: list[Any] = []

    @patch(ModelInterface, "logits")
    def repeated(real: Any, self: Any, model: Any, inputs: Any) -> Any:
        logits = real(self, model, inputs)
        short = not model.training and before and len(logits) < len(before[0]) == evaluate.BATCH
        given = before[0][: len(logits)] if short else logits
        before[:] = [logits]
        return given


@fault("checkpoints", Case("adalora"))
def ranks_saved_before_they_were_cut() -> None:
    """AdaLoRA's checkpoint has its ranks as they were before the budget fell."""
    from peft.tuners.adalora.layer import RankAllocator

    @patch(RankAllocator, "mask_to_budget")
    def uncut(real: Any, self: Any, model: Any, budget: int) -> Any:
        kept = {
            name: one.detach().clone() for name, one in model.named_parameters() if "lora_E" in name
        }
        pattern = real(self, model, budget)
        if budget == self.target_bgt and self.peft_config.total_step:
            for name, one in model.named_parameters():
                if name in kept:
                    one.data.copy_(kept[name])
        return pattern
