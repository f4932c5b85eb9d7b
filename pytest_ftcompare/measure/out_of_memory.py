"""Turn an out-of-memory error into one sentence: what was needed, what was free, and where.

`gate/torch_case.py` wraps each case in it, so that the worker goes on with the next case.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from pytest_ftcompare.measure import gpu_assignment
from pytest_ftcompare.measure.last_status import LastStatus
from pytest_ftcompare.training.memory_error import missing_memory, size_text


class OutOfMemory(RuntimeError):
    """The case does not fit; the message states what was needed, what was free, and when."""


def _free_text(device: str) -> str:
    if device == "cpu":
        from pytest_ftcompare.measure.host import available_memory

        return f"{size_text(available_memory())} of the machine's memory was free"
    module = torch.get_device_module(device)
    free, total = module.mem_get_info()
    return (
        f"{size_text(free)} of the GPU's {size_text(total)} was free, "
        f"and {size_text(module.memory_reserved())} this worker's"
    )


@contextmanager
def explain_out_of_memory(device: str, status: LastStatus) -> Iterator[None]:
    """Raise `OutOfMemory` for an out-of-memory error inside, naming the last status."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        needed = missing_memory(error)
        if needed is None:
            raise
        raise OutOfMemory(
            f"out of memory after {status.text!r}: it needed {needed}, {_free_text(device)}: use "
            "more micro_batches, a smaller batch_size or gradient_checkpointing=True in the "
            "case's options, or fewer workers"
        ) from None


def free_memory() -> None:
    """Free a failed case's memory.

    Call it once nothing refers to the exception, because its frames refer to the tensors.
    """
    gc.collect()
    module = torch.get_device_module(gpu_assignment.GPU_TYPE)
    # A GPU that failed cannot free memory.
    with suppress(RuntimeError):
        if module.is_available() and module.is_initialized():
            module.empty_cache()
