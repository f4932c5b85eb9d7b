"""Count every operation that torch runs, and every storage while it is alive.

`step_counts.py` and the plan use `OpCounter`. It also sees backward, on a GPU too, because
autograd's threads inherit the caller's dispatch modes. It does not see what an operation allocates
and frees inside itself, allocators' rounding, kernels' workspaces, or tensors that nothing reads.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
# torch has no formula for attention on a CPU; its arguments match those of the GPU's kernel.
FORMULAS = {
    aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[
        aten._scaled_dot_product_flash_attention
    ],
    aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        aten._scaled_dot_product_flash_attention_backward
    ],
    **flop_registry,
}


def tensors_in(value: object) -> Iterator[torch.Tensor]:
    """Yield all tensors in nested lists, tuples and mappings, and in a 4-bit weight's state."""
    if isinstance(value, torch.Tensor):
        yield value
        quantised = getattr(value, "quant_state", None)
        while quantised is not None:
            yield from tensors_in(vars(quantised))
            quantised = quantised.state2
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)


def flops_of(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    """Return one operation's FLOPs by torch's formulas.

    Attention counts as if it were not causal; element-wise operations count 0.
    """
    if operation.namespace == "bitsandbytes" and operation._opname in ("gemm_4bit", "gemv_4bit"):
        return 2 * int(out.numel()) * int(args[0].shape[-1])
    formula = FORMULAS.get(operation.overloadpacket)
    return int(formula(*args, **kwargs, out_val=out)) if formula else 0


# A part of an update, and the number of its layer if it belongs to one.
Phase = tuple[str, int | None]


@dataclass
class PeakSnapshot:
    """The largest total of a phase in bytes, and the storages that were alive then."""

    total: int = -1
    alive: dict[int, int] = field(default_factory=dict)  # serial number -> bytes


class OpCounter(TorchDispatchMode):
    """Counts what runs inside its `with` block.

    `operations` leaves views out. `flops` is by `flops_of`. `total` is the bytes alive now: a
    storage counts once, however many views it has, until it is freed. `snapshots` has the peak of
    each phase.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = self.flops = self.total = 0
        self.snapshots: dict[Phase, PeakSnapshot] = {}
        self._alive: dict[int, int] = {}  # serial number -> bytes
        # A storage's address -> its serial number.
        self._serials: dict[int, tuple[int, weakref.ref[Any]]] = {}
        self._last_serial = 0
        # Snapshots whose storages are those alive now; saved before one of them changes.
        self._pending: list[PeakSnapshot] = []
        self.enter("step")

    def enter(self, part: str, layer: int | None = None) -> None:
        """Start or resume a phase."""
        self._save_snapshots()
        self.phase = self.snapshots.setdefault((part, layer), PeakSnapshot())
        self._update_peak()

    def serial(self, tensor: torch.Tensor) -> int:
        """Return the number of a tensor's storage, and count the storage from now on."""
        storage = tensor.untyped_storage()
        address: int = storage._cdata
        if address not in self._serials:
            self._last_serial += 1
            serial = self._last_serial

            def freed(_: object) -> None:
                self._save_snapshots()
                del self._serials[address]
                self.total -= self._alive.pop(serial)

            self._serials[address] = serial, weakref.ref(storage, freed)
            self._alive[serial] = 0
        serial, _ = self._serials[address]
        size = storage.nbytes()
        if size != self._alive[serial]:
            self._save_snapshots()
            self.total += size - self._alive[serial]
            self._alive[serial] = size
            self._update_peak()
        return serial

    def size(self, serial: int) -> int:
        """Return the bytes of a storage that is alive."""
        return self._alive[serial]

    def _update_peak(self) -> None:
        if self.total > self.phase.total:
            self.phase.total = self.total
            self._pending = [self.phase]

    def _save_snapshots(self) -> None:
        """Save the storages alive now in the phases whose peak this is."""
        for snapshot in self._pending:
            snapshot.alive = dict(self._alive)
        self._pending = []

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
        self._save_snapshots()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        # `prim` operations only ask a fake tensor for its device.
        if func.namespace == "prim":
            return func(*args, **kwargs)
        # Outside inference mode, autograd decomposes composite operations before this call.
        if torch.is_inference_mode_enabled():
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        for tensor in tensors_in((args, kwargs)):
            self.serial(tensor)
        out = func(*args, **kwargs)
        for tensor in tensors_in(out):
            self.serial(tensor)
        self.operations += not func.is_view
        self.flops += flops_of(func, args, kwargs, out)
        return out
