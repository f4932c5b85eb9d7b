"""Faults of the learning rate's schedule."""

from __future__ import annotations

from typing import Any

from .change import Case, fault, patch

CASES = (Case("pbft", shots=16),)


@fault("schedule", *CASES, upstream="https://github.com/huggingface/transformers/pull/24088")
def schedule_stepped_twice() -> None:
    """The schedule takes two steps per update, and is at zero halfway."""
    from pytest_ftcompare.training import train

    @patch(train, "get_linear_schedule_with_warmup")
    def twice(real: Any, optimizer: Any, warmup: int, steps: int) -> Any:
        return real(optimizer, warmup // 2, -(-steps // 2))


@fault("schedule", *CASES)
def decay_never_applied() -> None:
    """After the warm-up, the learning rate stays constant."""
    from transformers import get_constant_schedule_with_warmup

    from pytest_ftcompare.training import train

    @patch(train, "get_linear_schedule_with_warmup")
    def constant(real: Any, optimizer: Any, warmup: int, steps: int) -> Any:
        return get_constant_schedule_with_warmup(optimizer, warmup)


@fault("schedule", *CASES)
def no_warm_up() -> None:
    """The learning rate starts at its peak."""
    from pytest_ftcompare.training import train

    @patch(train, "get_linear_schedule_with_warmup")
    def cold(real: Any, optimizer: Any, warmup: int, steps: int) -> Any:
        return real(optimizer, 0, steps)


@fault("schedule", *CASES, upstream="https://github.com/huggingface/accelerate/pull/999")
def schedule_counts_micro_batches() -> None:
    """The schedule is made for micro-batches but stepped per update, so it never reaches its
    end."""
    from pytest_ftcompare.training import train

    @patch(train, "get_linear_schedule_with_warmup")
    def longer(real: Any, optimizer: Any, warmup: int, steps: int) -> Any:
        return real(optimizer, 4 * warmup, 4 * steps)
