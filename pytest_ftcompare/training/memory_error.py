"""Recognise the error of an allocation that failed, on a CPU or GPU.

`measure/out_of_memory.py` explains it; `checks/errors.py` does not take it for a broken invariant.
"""

from __future__ import annotations

import re

import torch

CPU_MESSAGE = re.compile(r"you tried to allocate (\d+) bytes")
CUDA_MESSAGE = re.compile(r"Tried to allocate ([\d.]+ [KMGT]iB)")
# Messages of the libraries below torch.
LIBRARY_ERRORS = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def size_text(count: float) -> str:
    """Return a number of bytes as text, such as "1.50 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.{0 if unit == 'B' else 2}f} {unit}"
        count /= 1024
    return f"{count:.2f} TiB"


def missing_memory(error: BaseException) -> str | None:
    """Return what could not be allocated, or None for another kind of error."""
    text = str(error)
    if match := CPU_MESSAGE.search(text):
        return f"{size_text(int(match[1]))} more"
    if isinstance(error, torch.OutOfMemoryError) and (match := CUDA_MESSAGE.search(text)):
        return f"{match[1]} more"
    is_memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        message in text for message in LIBRARY_ERRORS
    )
    return "memory that it did not get" if is_memory else None
