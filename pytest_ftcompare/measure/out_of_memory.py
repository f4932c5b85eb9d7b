"""Out of memory, told in one sentence: what was needed, what there was, and where it happened. The worker lives on."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

Say = Callable[[str], None]
CPU = re.compile(r"you tried to allocate (\d+) bytes")
CUDA = re.compile(r"Tried to allocate ([\d.]+ [KMGT]iB)")
OTHERS = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)  # of libraries below torch's


class OutOfMemory(RuntimeError):
    """The device's memory does not hold the case; the message says what was needed, what there was, and when."""


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.{0 if unit == 'B' else 2}f} {unit}"
        count /= 1024
    return f"{count:.2f} TiB"


def _needed(error: BaseException) -> str | None:
    """What could not be allocated, None where the error is another one."""
    text = str(error)
    if found := CPU.search(text):
        return f"{_size(int(found[1]))} more"
    if isinstance(error, torch.OutOfMemoryError) and (found := CUDA.search(text)):
        return f"{found[1]} more"
    is_memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        one in text for one in OTHERS
    )
    return "memory that it did not get" if is_memory else None


def _had(device: str) -> str:
    if device == "cpu":
        from pytest_ftcompare.measure.host import available_memory

        return f"{_size(available_memory())} of the machine's memory was free"
    free, total = torch.cuda.mem_get_info()
    return f"{_size(free)} of the GPU's {_size(total)} was free, and {_size(torch.cuda.memory_reserved())} this worker's"


@contextmanager
def told_when_exhausted(device: str, say: Say) -> Iterator[Say]:
    """Within it, what is said is remembered, so that running out of memory becomes an `Exhausted` that says where."""
    last = "loading"

    def remember(text: str) -> None:
        nonlocal last
        last = text
        say(text)

    try:
        yield remember
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        needed = _needed(error)
        if needed is None:
            raise
        raise OutOfMemory(
            f"out of memory after {last!r}: it needed {needed}, {_had(device)}: use a smaller batch, more accumulation, "
            "gradient_checkpointing=True in the case's options, or fewer workers"
        ) from None


def free_memory() -> None:
    """Give back what a failed case held; to be called when nothing holds its exception, whose frames hold its tensors."""
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
