"""Count one update's peak bytes, bytes saved for backward, operations and FLOPs.

`counted_update.py` and the plan use it. Nothing is timed or sampled, so the same libraries give the
same numbers in every process.
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

from pytest_ftcompare.measure.op_counter import OpCounter, PeakSnapshot, tensors_in


@dataclass(frozen=True)
class PeakMemory:
    """Bytes alive at the peak, by use; `activations` are all bytes without another use."""

    peak: int
    weights: int
    gradients: int
    optimizer: int
    activations: int


@dataclass(frozen=True)
class UpdateCounts(PeakMemory):
    """Peak memory and counts of one update.

    `saved`: bytes saved for backward, without weights. `state`: bytes of the optimiser's state
    after the update. `operations`: without views, which compute nothing. `flops`: two for a
    multiplication with its addition.
    """

    saved: int
    state: int
    operations: int
    flops: int


def tensors_of_model(model: nn.Module) -> Iterator[torch.Tensor]:
    """Yield parameters, buffers, and other tensors in modules' attributes."""
    for module in model.modules():
        yield from tensors_in(vars(module))


class MemoryLedger:
    """Knows each storage's use: weights, gradients, or the optimiser's state.

    Hooks record gradients when autograd accumulates them into a parameter.
    """

    def __init__(
        self, counter: OpCounter, model: nn.Module, optimizer: torch.optim.Optimizer | None
    ) -> None:
        self.counter, self.optimizer = counter, optimizer
        groups: list[Any] = optimizer.param_groups if optimizer else []
        parameters = {
            id(parameter): parameter
            for parameter in [
                *model.parameters(),
                *tensors_in([group["params"] for group in groups]),
            ]
        }
        self.weights = {
            counter.serial(tensor) for tensor in [*tensors_of_model(model), *parameters.values()]
        }
        self.gradients = {
            counter.serial(parameter.grad)
            for parameter in parameters.values()
            if parameter.grad is not None
        }
        self.hooks = [
            parameter.register_post_accumulate_grad_hook(self._record_gradient)
            for parameter in parameters.values()
            if parameter.requires_grad
        ]
        self.optimizer_storages()

    def _record_gradient(self, parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        self.gradients.add(self.counter.serial(parameter.grad))

    def optimizer_storages(self) -> set[int]:
        """Return the numbers of the optimiser's storages, without weights."""
        tensors = tensors_in(vars(self.optimizer)) if self.optimizer else ()
        return {self.counter.serial(tensor) for tensor in tensors} - self.weights

    def __enter__(self) -> MemoryLedger:
        return self

    def __exit__(self, *raised: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def peak(self, snapshot: PeakSnapshot) -> PeakMemory:
        """Return a phase's peak bytes by use; call it after the update."""
        state, sizes = (
            self.optimizer_storages(),
            dict.fromkeys(("weights", "gradients", "optimizer", "activations"), 0),
        )
        for serial, size in snapshot.alive.items():
            kinds = (("weights", self.weights), ("gradients", self.gradients), ("optimizer", state))
            sizes[next((kind for kind, serials in kinds if serial in serials), "activations")] += (
                size
            )
        return PeakMemory(snapshot.total, **sizes)


@contextmanager
def gc_paused() -> Iterator[None]:
    """Disable the garbage collector: when it would run depends on what the process did before."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def count_step(
    step: Callable[[], object], model: nn.Module, optimizer: torch.optim.Optimizer | None
) -> UpdateCounts:
    """Run `step` once and count it; `optimizer` is None if nothing trains."""
    counter = OpCounter()
    ledger = MemoryLedger(counter, model, optimizer)
    saved: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        serial = counter.serial(tensor)
        if serial not in ledger.weights:
            saved[serial] = tensor.untyped_storage().nbytes()
        return tensor

    with gc_paused(), ledger, counter, saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    state = sum(counter.size(serial) for serial in ledger.optimizer_storages())
    peak = asdict(ledger.peak(counter.snapshots["step", None]))
    return UpdateCounts(
        **peak,
        saved=sum(saved.values()),
        state=state,
        operations=counter.operations,
        flops=counter.flops,
    )
