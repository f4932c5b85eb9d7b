"""Turn a GPU that failed for good in this process into one sentence.

`gate/torch_case.py` wraps each case in it. After some errors (an illegal memory access, an
uncorrectable memory error, a lost card), "the process must be terminated and relaunched" to use
CUDA again; after others, such as an invalid argument, it goes on
(docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html). Libraries above CUDA have error
texts of their own, so another operation tells the two kinds apart, not the text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pytest_ftcompare.measure import nvml
from pytest_ftcompare.measure.gpu_readings import gpu_name
from pytest_ftcompare.measure.last_status import LastStatus

# nvidia.com: docs.nvidia.com/deploy/xid-errors: the driver logs an Xid for each failure of a GPU.
ADVICE = "look for Xid in dmesg, and continue with --ftcompare-resume"


class GpuFailure(RuntimeError):
    """This process cannot use its GPU any more; the message says since when, and why."""


def _is_usable(device: str) -> bool:
    try:
        torch.ones(1, device=device).item()
    except RuntimeError as error:
        return isinstance(error, torch.OutOfMemoryError)
    return True


def _lost_note(device: str) -> str:
    """Return what NVML adds if this process's card is lost, "" if it does not say so."""
    is_lost = nvml.is_lost(gpu_name(device, os.environ))
    return ", and NVML reports that the GPU is lost" if is_lost else ""


@contextmanager
def explain_gpu_failure(device: str, status: LastStatus) -> Iterator[None]:
    """Raise `GpuFailure` for an error inside after which the device computes nothing."""
    try:
        yield
    except RuntimeError as error:
        # A process that has not used the GPU did not fail by it, and asking would start CUDA here.
        started = device != "cpu" and torch.get_device_module(device).is_initialized()
        if not started or _is_usable(device):
            raise
        # CUDA's message has one line, torch's advice on debugging follows.
        cause = str(error).partition("\n")[0]
        raise GpuFailure(
            f"the GPU failed after {status.text!r}: {cause}{_lost_note(device)}: "
            f"this process cannot use it again; {ADVICE}"
        ) from None
