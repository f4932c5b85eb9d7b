"""Which GPU is a worker's, chosen inside the caller's CUDA_VISIBLE_DEVICES before CUDA starts, and how many workers fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path

from pytest_ftcompare.measure import nvml

VARIABLE = "CUDA_VISIBLE_DEVICES"


def count_gpus(folder: Path = Path("/dev")) -> int:
    """NVIDIA GPUs of this machine: what NVML says, or where it cannot be read, the driver's device files."""
    counted = nvml.count()
    return len(list(folder.glob("nvidia[0-9]*"))) if counted is None else counted


def visible(environ: Mapping[str, str], count: Callable[[], int]) -> list[str]:
    """The devices that the caller may use, as CUDA reads its variable: indices, or UUIDs (also abbreviated, also of slices).

    Unset means all; an entry that is none hides itself and all after it; one named twice hides all. Whether a UUID exists,
    only CUDA can say.
    """
    present = count()
    named = environ.get(VARIABLE)
    if named is None or not present:
        return [str(index) for index in range(present)]
    entries = [entry.strip() for entry in named.split(",")]
    kind = entries[0][:4]
    found: list[str] = []
    for entry in entries:
        if kind in ("GPU-", "MIG-"):
            if not entry.startswith(kind):
                break
        else:
            number = re.match(r"\+?\d+", entry)  # CUDA reads as far as it is a number
            if not number or int(number[0]) >= present:
                break
            entry = str(int(number[0]))
        found.append(entry)
    return found if len(set(found)) == len(found) else []


def gpu_for_worker(worker: int, devices: Sequence[str]) -> str:
    """Worker i's device: workers take turns, and share when they are more."""
    return devices[worker % len(devices)]


def bind_gpu(worker: int, environ: MutableMapping[str, str]) -> str | None:
    """Show CUDA the worker's own device alone, which it then calls 0; None, and nothing is set, where there is none.

    Done again it changes nothing.
    """
    devices = visible(environ, count_gpus)
    if not devices:
        return None
    environ[VARIABLE] = gpu_for_worker(worker, devices)
    return environ[VARIABLE]


def _memory(devices: Sequence[str]) -> list[tuple[int, int]]:
    """Used and all bytes of each device that `visible` names, without those that cannot be read."""
    opened = [nvml.open_gpu(device) for device in devices]
    found = [None if isinstance(gpu, nvml.Unavailable) else gpu.memory() for gpu in opened]
    return [one for one in found if one is not None]


def free_gpu_memory(devices: Sequence[str]) -> list[int]:
    """Free bytes of each device that `visible` names and NVML can read."""
    return [total - used for used, total in _memory(devices)]


def gpu_memory(devices: Sequence[str]) -> list[int]:
    """All bytes of each device that `visible` names and NVML can read."""
    return [total for _, total in _memory(devices)]


def suggested_workers(cpus: int, memory: int, gpus: Sequence[int], need: int, gpu_need: int) -> int:
    """Workers for `-n auto`, at least 1: no more than cores, than fit the host's free `memory`, and than fit the GPUs.

    `gpus` are the free bytes of each device, none for a run on CPU; `need` and `gpu_need` the bytes of one worker, above 0.
    Worker i has device i modulo their number, so the device that is full first sets the limit.
    """
    on_gpus = [free // gpu_need * len(gpus) + index for index, free in enumerate(gpus)]
    return max(1, min(cpus, memory // need, *on_gpus))
