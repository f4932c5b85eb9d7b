"""Turn an out-of-memory error into one sentence: what was needed, what was free, and where.

`gate/torch_case.py` wraps each case in it, so that the worker goes on with the next case.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

Say = Callable[[str], None]
CPU_MESSAGE = re.compile(r"you tried to allocate (\d+) bytes")
CUDA_MESSAGE = re.compile(r"Tried to allocate ([\d.]+ [KMGT]iB)")
# Messages of the libraries below torch.
LIBRARY_ERRORS = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


class OutOfMemory(RuntimeError):
    """The case does not fit; the message states what was needed, what was free, and when."""


def _size_text(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.{0 if unit == 'B' else 2}f} {unit}"
        count /= 1024
    return f"{count:.2f} TiB"


def _needed(error: BaseException) -> str | None:
    """Return what could not be allocated, or None for another kind of error."""
    text = str(error)
    if match := CPU_MESSAGE.search(text):
        return f"{_size_text(int(match[1]))} more"
    if isinstance(error, torch.OutOfMemoryError) and (match := CUDA_MESSAGE.search(text)):
        return f"{match[1]} more"
    is_memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        message in text for message in LIBRARY_ERRORS
    )
    return "memory that it did not get" if is_memory else None


def _free_text(device: str) -> str:
    if device == "cpu":
        from pytest_ftcompare.measure.host import available_memory

        return f"{_size_text(available_memory())} of the machine's memory was free"
    free, total = torch.cuda.mem_get_info()
    return (
        f"{_size_text(free)} of the GPU's {_size_text(total)} was free, "
        f"and {_size_text(torch.cuda.memory_reserved())} this worker's"
    )


@contextmanager
def explain_out_of_memory(device: str, say: Say) -> Iterator[Say]:
    """Raise `OutOfMemory` for an out-of-memory error inside, naming the last message that was said.

    Yields a function to use in place of `say`.
    """
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
            f"out of memory after {last!r}: it needed {needed}, {_free_text(device)}: use more "
            "micro_batches, a smaller batch_size or gradient_checkpointing=True in the case's "
            "options, or fewer workers"
        ) from None


def free_memory() -> None:
    """Free a failed case's memory.

    Call it once nothing refers to the exception, because its frames refer to the tensors.
    """
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
