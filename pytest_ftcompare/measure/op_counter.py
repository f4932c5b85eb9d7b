"""The counter: a dispatch mode that sees every operation that torch runs, and every storage from its making to its end.

Backward is seen too, on a GPU as well, where autograd's own threads take over the caller's modes. What an operation makes
and frees inside itself is not seen, nor are allocators' rounding, kernels' workspaces and tensors that nothing reads.
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
# Attention on a CPU has no formula in torch; its arguments are those of the GPU's kernel.
FORMULAS = {
    aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[
        aten._scaled_dot_product_flash_attention
    ],
    aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        aten._scaled_dot_product_flash_attention_backward
    ],
    **flop_registry,
}


def tensors(thing: object) -> Iterator[torch.Tensor]:
    """All tensors in nested lists, tuples and mappings, and those that a 4-bit weight keeps beside its bytes."""
    if isinstance(thing, torch.Tensor):
        yield thing
        quantised = getattr(thing, "quant_state", None)
        while quantised is not None:
            yield from tensors(vars(quantised))
            quantised = quantised.state2
    elif isinstance(thing, Mapping):
        for one in thing.values():
            yield from tensors(one)
    elif isinstance(thing, list | tuple):
        for one in thing:
            yield from tensors(one)


def flops_of(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    """FLOPs of one operation by torch's formulas; attention counts as if it were not causal, element-wise work as nothing."""
    if operation.namespace == "bitsandbytes" and operation._opname in ("gemm_4bit", "gemv_4bit"):
        return 2 * int(out.numel()) * int(args[0].shape[-1])
    formula = FORMULAS.get(operation.overloadpacket)
    return int(formula(*args, **kwargs, out_val=out)) if formula else 0


Phase = tuple[
    str, int | None
]  # a part of the step, and where it has to do with one, the number of a layer


@dataclass
class PeakSnapshot:
    """The largest total of a phase, and the storages that were alive then."""

    total: int = -1
    alive: dict[int, int] = field(default_factory=dict)  # serial number -> bytes


class OpCounter(TorchDispatchMode):
    """Counts what runs inside it. Storages count once, however many views they have, until they are freed.

    `phase` names the part of the step that goes on; each has a peak of its own.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = self.flops = self.total = 0
        self.moments: dict[Phase, PeakSnapshot] = {}
        self._alive: dict[int, int] = {}  # serial number -> bytes
        self._known: dict[
            int, tuple[int, weakref.ref[Any]]
        ] = {}  # a storage's address -> its serial number
        self._count = 0
        self._highest: list[
            PeakSnapshot
        ] = []  # whose storages are those alive now: noted down when one of them goes
        self.enter("step")

    def enter(self, part: str, layer: int | None = None) -> None:
        """Begin a phase, or go on with one."""
        self._note()
        self.phase = self.moments.setdefault((part, layer), PeakSnapshot())
        self._compare()

    def serial(self, tensor: torch.Tensor) -> int:
        """The number of a tensor's storage, which is counted from now on if it was not."""
        storage = tensor.untyped_storage()
        address: int = storage._cdata
        if address not in self._known:
            self._count += 1
            serial = self._count

            def freed(_: object) -> None:
                self._note()
                del self._known[address]
                self.total -= self._alive.pop(serial)

            self._known[address] = serial, weakref.ref(storage, freed)
            self._alive[serial] = 0
        serial, _ = self._known[address]
        size = storage.nbytes()
        if size != self._alive[serial]:
            self._note()
            self.total += size - self._alive[serial]
            self._alive[serial] = size
            self._compare()
        return serial

    def size(self, serial: int) -> int:
        """Bytes of a storage that is alive."""
        return self._alive[serial]

    def _compare(self) -> None:
        if self.total > self.phase.total:
            self.phase.total = self.total
            self._highest = [self.phase]

    def _note(self) -> None:
        """Keep what is alive now with the phase whose peak this is."""
        for moment in self._highest:
            moment.alive = dict(self._alive)
        self._highest = []

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
        self._note()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim":  # a question to a tensor without bytes: where it is
            return func(*args, **kwargs)
        if (
            torch.is_inference_mode_enabled()
        ):  # elsewhere autograd takes composite operations apart before they come here
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        for one in tensors((args, kwargs)):
            self.serial(one)
        out = func(*args, **kwargs)
        for one in tensors(out):
            self.serial(one)
        self.operations += not func.is_view
        self.flops += flops_of(func, args, kwargs, out)
        return out
