"""Pretend that a CPU tensor lies on a GPU, to find tensors in the wrong place without a GPU.

Under `PretendedDevice`, `tensor.to("pretend:0")` gives a `PlacedTensor`: its numbers are a CPU
tensor's, its `device` is pretend:0. As on a GPU, an operation over both places raises
`RuntimeError`, and `numpy()` raises `TypeError`. Numbers are real, so that whatever depends on
them runs: generation, bitsandbytes, AdaLoRA's cuts. Autocast casts the operations that it casts on
CUDA, as far as models here use them.

- `waits` counts what would make the host wait for the device: `item()`, `tolist()`, copies to the
  CPU, and reading a truth value.
- `MEMORY` counts the bytes of storages on the device. Above its `capacity`, an operation raises
  `torch.OutOfMemoryError`, as CUDA's allocator does.
- `fail_after` operations, the device is lost: each one raises `torch.AcceleratorError`.

It does not see kernels, their rounding and their workspaces, the allocator's rounding, streams and
events, and code that asks for "cuda" by name or calls `torch.cuda`.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from types import ModuleType
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretend"
aten = torch.ops.aten
# Operations that may read one place and write another.
COPIES = {aten._to_copy.default, aten.copy_.default, aten._foreach_copy_.default}
# CUDA indexes its tensors with indices on the CPU, and not the other way round.
INDEXED = {aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default}
_active: list[PretendedDevice] = []


class Memory:
    """Bytes of the storages that are alive on the device, and their peak since the last reset."""

    def __init__(self) -> None:
        self.capacity = 140 * 2**30
        self.allocated = self.peak = 0
        self._storages: dict[int, weakref.ref[Any]] = {}

    def add(self, storage: torch.UntypedStorage) -> None:
        """Count a storage until it is freed."""
        address: int = storage._cdata
        if address in self._storages:
            return
        size = storage.nbytes()
        if self.allocated + size > self.capacity:
            raise torch.OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {size / 2**20:.2f} MiB."
            )

        def freed(_: object) -> None:
            del self._storages[address]
            self.allocated -= size

        self._storages[address] = weakref.ref(storage, freed)
        self.allocated += size
        self.peak = max(self.peak, self.allocated)

    def reset_peak(self) -> None:
        self.peak = self.allocated


MEMORY = Memory()
# Functions of torch.cuda that the package and libraries call.
MODULE_FUNCTIONS = {
    "is_available": lambda: True,
    "is_initialized": lambda: True,
    "_is_in_bad_fork": lambda: False,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "set_device": lambda device: None,
    "manual_seed_all": lambda seed: None,
    # Random numbers are the CPU's.
    "get_rng_state": lambda index=0: torch.zeros(1, dtype=torch.uint8),
    "set_rng_state": lambda state, index=0: None,
    "get_amp_supported_dtype": lambda: [torch.bfloat16, torch.float16],
    "synchronize": lambda device=None: None,
    "empty_cache": lambda: None,
    "reset_peak_memory_stats": MEMORY.reset_peak,
    "memory_allocated": lambda device=None: MEMORY.allocated,
    "memory_reserved": lambda device=None: MEMORY.allocated,
    "max_memory_allocated": lambda device=None: MEMORY.peak,
    "max_memory_reserved": lambda device=None: MEMORY.peak,
    "mem_get_info": lambda device=None: (MEMORY.capacity - MEMORY.allocated, MEMORY.capacity),
    "get_device_name": lambda device=None: "Pretended GPU",
}


def _register() -> torch.device:
    """Register the device with torch, before the process's first backward pass."""
    _setup_privateuseone_for_python_backend(NAME)
    module = ModuleType(f"torch.{NAME}")
    for name, function in MODULE_FUNCTIONS.items():
        setattr(module, name, function)
    setattr(torch, NAME, module)
    sys.modules[f"torch.{NAME}"] = module
    return torch.device(NAME, 0)


DEVICE = _register()

# Operations that CUDA's autocast computes in the lower precision, and in float32
# (pytorch.org/docs/stable/amp.html), as far as models here use them.
LOWER_PRECISION = (
    *("addmm", "addmv", "baddbmm", "bmm", "conv1d", "conv2d", "linear", "matmul", "mm", "mv"),
    *("prelu", "scaled_dot_product_attention"),
)
FULL_PRECISION = (
    *("exp", "layer_norm", "log", "log_softmax.int", "nll_loss", "norm.Scalar", "rsqrt"),
    *("pow.Tensor_Scalar", "softmax.int", "sum", "sum.dim_IntList", "cumsum", "mse_loss"),
)
_autocast_key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)


def _cast_before(operation: Any, *, lower: bool) -> Any:
    def run(*args: Any, **kwargs: Any) -> Any:
        dtype = torch.get_autocast_dtype(NAME) if lower else torch.float32

        def cast(value: Any) -> Any:
            floats = (torch.float32, torch.bfloat16, torch.float16)
            if isinstance(value, PlacedTensor) and value.dtype in floats:
                return value.to(dtype)
            return value

        with torch._C._ExcludeDispatchKeyGuard(_autocast_key):
            return operation(*pytree.tree_map(cast, args), **pytree.tree_map(cast, kwargs))

    return run


def _register_autocast() -> tuple[torch.library.Library, torch.library.Library]:
    """Register what autocast casts; other operations run as they are."""
    others = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    others.fallback(torch.library.fallthrough_kernel)
    casting = torch.library.Library("aten", "IMPL", "AutocastPrivateUse1")
    for names, lower in ((LOWER_PRECISION, True), (FULL_PRECISION, False)):
        for name in names:
            packet, _, overload = name.partition(".")
            operation = getattr(getattr(aten, packet), overload or "default")
            casting.impl(name, _cast_before(operation, lower=lower))
    return others, casting


# torch forgets what a library registered once the library is freed.
_AUTOCAST = _register_autocast()


class PlacedTensor(torch.Tensor):
    """A tensor on the pretended device; `raw` has its numbers on the CPU."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> PlacedTensor:
        placed: PlacedTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            raw.size(),
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            device=DEVICE,
        )
        placed.raw = raw
        MEMORY.add(raw.untyped_storage())
        return placed

    @property
    def data(self) -> PlacedTensor:
        return self.detach()

    @data.setter
    def data(self, value: torch.Tensor) -> None:
        assert isinstance(value, PlacedTensor), "expected a tensor on the pretended device"
        self.raw = value.raw

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            copied: Any = PlacedTensor(self.raw.detach().clone())
            if isinstance(self, torch.nn.Parameter):
                copied = torch.nn.Parameter(copied, self.requires_grad)
            memo[id(self)] = copied
        return memo[id(self)]

    def __repr__(self, **_: Any) -> str:
        return f"PlacedTensor({self.raw!r})"

    def tolist(self) -> Any:
        _count_wait("tolist")
        return self.raw.tolist()

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.raw.untyped_storage()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"can't convert {self.device} tensor to numpy, use Tensor.cpu() first")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _count_wait(name: str) -> None:
    for mode in _active:
        mode.waits[name] += 1


def _on_cpu(value: Any) -> Any:
    if isinstance(value, PlacedTensor):
        return value.raw
    if isinstance(value, torch.device) and value.type == NAME:
        return torch.device("cpu")
    return value


def _check_places(func: Any, tensors: list[torch.Tensor]) -> None:
    elsewhere = [
        tensor for tensor in tensors if not isinstance(tensor, PlacedTensor) and tensor.dim() > 0
    ]
    placed = any(isinstance(tensor, PlacedTensor) for tensor in tensors)
    if not placed or not elsewhere or func in COPIES:
        return
    if func in INDEXED and isinstance(tensors[0], PlacedTensor):
        return
    raise RuntimeError(
        "expected all tensors to be on the same device, "
        f"{func} got some on {DEVICE} and some on the cpu"
    )


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    leaves = pytree.tree_leaves((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    _check_places(func, tensors)
    from_device = any(isinstance(tensor, PlacedTensor) for tensor in tensors)
    target = next((leaf for leaf in leaves if isinstance(leaf, torch.device)), None)
    to_device = from_device if target is None else target.type == NAME
    if func in (aten.copy_.default, aten._foreach_copy_.default):
        to_device = isinstance(tensors[0], PlacedTensor)
    if from_device or to_device:
        for mode in _active:
            mode.count_operation()
    if func in (aten._local_scalar_dense.default, aten.is_nonzero.default) and from_device:
        _count_wait("item")
    elif from_device and not to_device:
        _count_wait("copy to the cpu")
    result = func(*pytree.tree_map(_on_cpu, args), **pytree.tree_map(_on_cpu, kwargs))
    if func._schema.name.endswith("_") and not func._schema.name.endswith("__"):
        return args[0] if isinstance(result, torch.Tensor) else result
    if func._schema.is_mutable and "out" in kwargs:
        return kwargs["out"]
    if not to_device:
        return result
    # A view of a tensor that inference mode did not make needs a version counter.
    with torch.inference_mode(False):
        return pytree.tree_map(
            lambda leaf: PlacedTensor(leaf) if isinstance(leaf, torch.Tensor) else leaf, result
        )


class PretendedDevice(TorchDispatchMode):
    """A context in which tensors can be on the pretended device.

    `waits` counts waits by kind. The device is lost after `fail_after` operations, if given, and
    then raises `error`.
    """

    def __init__(
        self, fail_after: int | None = None, error: str = "CUDA error: unspecified launch failure"
    ) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.fail_after, self.error = fail_after, error
        self.operations = 0

    def count_operation(self) -> None:
        """Count an operation on the device; once the device is lost, raise CUDA's error."""
        self.operations += 1
        if self.fail_after is not None and self.operations > self.fail_after:
            raise torch.AcceleratorError(self.error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})

    def __enter__(self) -> PretendedDevice:
        # torch.tensor then makes its tensor on the CPU and moves it under this mode.
        self._before = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)
        # Module.to then changes a parameter in its place, as on a GPU, and ties stay.
        self._swaps = torch.__future__.get_swap_module_params_on_conversion()
        torch.__future__.set_swap_module_params_on_conversion(True)
        _active.append(self)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        _active.remove(self)
        torch.__future__.set_swap_module_params_on_conversion(self._swaps)
        torch._C._set_only_lift_cpu_tensors(self._before)
