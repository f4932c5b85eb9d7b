"""What one training step needs, counted: bytes alive at its peak, bytes saved for backward, operations and FLOPs.

Nothing is timed or sampled, so the numbers are the same in every process and on every run of the same libraries.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from pytest_ftcompare.measure.op_counter import OpCounter, PeakSnapshot, tensors


@dataclass(frozen=True)
class PeakMemory:
    """Bytes alive when they were most, and what they were for; `activations` is all that is nothing else."""

    peak: int
    weights: int
    gradients: int
    optimizer: int
    activations: int


@dataclass(frozen=True)
class UpdateCounts(PeakMemory):
    """Beside the peak: bytes `saved` for backward, weights left out; bytes of the optimiser's `state` after the step; the
    step's `operations`, views left out, as they compute nothing; its `flops`, two for a multiplication with its addition."""

    saved: int
    state: int
    operations: int
    flops: int


def held(model: nn.Module) -> Iterator[torch.Tensor]:
    """Parameters, buffers, and the tensors that a module keeps without saying so."""
    for module in model.modules():
        yield from tensors(vars(module))


class MemoryLedger:
    """Says of each storage what it is for: weights, gradients as autograd hands them to a parameter, the optimiser's state."""

    def __init__(
        self, counter: OpCounter, model: nn.Module, optimizer: torch.optim.Optimizer | None
    ) -> None:
        self.counter, self.optimizer = counter, optimizer
        groups: list[Any] = optimizer.param_groups if optimizer else []
        parameters = {
            id(one): one
            for one in [*model.parameters(), *tensors([group["params"] for group in groups])]
        }
        self.weights = {counter.serial(one) for one in [*held(model), *parameters.values()]}
        self.gradients = {
            counter.serial(one.grad) for one in parameters.values() if one.grad is not None
        }
        self.hooks = [
            one.register_post_accumulate_grad_hook(self._accumulated)
            for one in parameters.values()
            if one.requires_grad
        ]
        self.state()

    def _accumulated(self, parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        self.gradients.add(self.counter.serial(parameter.grad))

    def state(self) -> set[int]:
        """The storages of all that the optimiser keeps beside the weights."""
        kept = tensors(vars(self.optimizer)) if self.optimizer else ()
        return {self.counter.serial(one) for one in kept} - self.weights

    def __enter__(self) -> MemoryLedger:
        return self

    def __exit__(self, *raised: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def peak(self, moment: PeakSnapshot) -> PeakMemory:
        """A phase's largest total by what it is for; ask when the step is over."""
        state, sizes = (
            self.state(),
            dict.fromkeys(("weights", "gradients", "optimizer", "activations"), 0),
        )
        for serial, size in moment.alive.items():
            kinds = (("weights", self.weights), ("gradients", self.gradients), ("optimizer", state))
            sizes[next((kind for kind, those in kinds if serial in those), "activations")] += size
        return PeakMemory(moment.total, **sizes)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector: when it frees what has gone in circles depends on all that the process did before."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def count(
    step: Callable[[], object], model: nn.Module, optimizer: torch.optim.Optimizer | None
) -> UpdateCounts:
    """Run `step` once and count it; `optimizer` is None where nothing trains."""
    counter = OpCounter()
    books = MemoryLedger(counter, model, optimizer)
    saved: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        serial = counter.serial(tensor)
        if serial not in books.weights:
            saved[serial] = tensor.untyped_storage().nbytes()
        return tensor

    with uncollected(), books, counter, saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    state = sum(counter.size(serial) for serial in books.state())
    peak = asdict(books.peak(counter.moments["step", None]))
    return UpdateCounts(
        **peak,
        saved=sum(saved.values()),
        state=state,
        operations=counter.operations,
        flops=counter.flops,
    )
