"""Assign GPUs to workers, and suggest how many workers fit.

The plugin binds each worker to one GPU of the caller's CUDA_VISIBLE_DEVICES before CUDA starts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path

from pytest_ftcompare.measure import nvml

VARIABLE = "CUDA_VISIBLE_DEVICES"
# torch's name of the GPUs that cases train on. tests/pretended_gpu.py replaces it.
GPU_TYPE = "cuda"


def count_gpus(folder: Path = Path("/dev")) -> int:
    """Count this machine's NVIDIA GPUs by NVML, or else by the driver's device files."""
    gpus = nvml.count()
    return len(list(folder.glob("nvidia[0-9]*"))) if gpus is None else gpus


def visible_gpus(environ: Mapping[str, str], count: Callable[[], int]) -> list[str]:
    """Return the devices that the caller may use, read from CUDA_VISIBLE_DEVICES as CUDA reads it.

    They are indices, or UUIDs of GPUs or MIG slices, which may be abbreviated. Without the
    variable, all devices are visible. An invalid entry hides itself and all entries after it. A
    duplicate hides all. Only CUDA knows whether a UUID exists.
    """
    present = count()
    variable = environ.get(VARIABLE)
    if variable is None or not present:
        return [str(index) for index in range(present)]
    entries = [entry.strip() for entry in variable.split(",")]
    kind = entries[0][:4]
    devices: list[str] = []
    for entry in entries:
        if kind in ("GPU-", "MIG-"):
            if not entry.startswith(kind):
                break
        else:
            # CUDA reads the number at the start of an entry and ignores the rest.
            number = re.match(r"\+?\d+", entry)
            if not number or int(number[0]) >= present:
                break
            entry = str(int(number[0]))
        devices.append(entry)
    return devices if len(set(devices)) == len(devices) else []


def gpu_for_worker(worker: int, devices: Sequence[str]) -> str:
    """Return worker i's device, i modulo the number of devices: extra workers share."""
    return devices[worker % len(devices)]


def bind_gpu(worker: int, environ: MutableMapping[str, str]) -> str | None:
    """Make only the worker's own device visible to CUDA, which then numbers it 0.

    Lost devices are left out, if others are there. Return its name, or None and change nothing if
    there is no device. A second call has no effect.
    """
    devices = visible_gpus(environ, count_gpus)
    if not devices:
        return None
    present = [device for device in devices if not nvml.is_lost(device)]
    if 0 < len(present) < len(devices):
        # CUDA may count without the lost device, which moves the numbers of those after it.
        devices = [nvml.uuid(device) or device for device in present]
    environ[VARIABLE] = gpu_for_worker(worker, devices)
    return environ[VARIABLE]


def _memory(devices: Sequence[str]) -> list[tuple[int, int]]:
    """Return (used, total) bytes of each device of `visible_gpus` that NVML can read."""
    gpus = [nvml.open_gpu(device) for device in devices]
    readings = [None if isinstance(gpu, nvml.Unavailable) else gpu.memory() for gpu in gpus]
    return [reading for reading in readings if reading is not None]


def free_gpu_memory(devices: Sequence[str]) -> list[int]:
    """Return the free bytes of each device of `visible_gpus` that NVML can read."""
    return [total - used for used, total in _memory(devices)]


def gpu_memory(devices: Sequence[str]) -> list[int]:
    """Return the total bytes of each device of `visible_gpus` that NVML can read."""
    return [total for _, total in _memory(devices)]


def suggested_workers(cpus: int, memory: int, gpus: Sequence[int], need: int, gpu_need: int) -> int:
    """Return the workers for `-n auto`: at least 1, at most as many as cores and memory allow.

    `memory` and `gpus` are free bytes of the host and of each device; `gpus` is empty for a run on
    the CPU. `need` and `gpu_need` are the bytes of one worker, above 0. Worker i has device i
    modulo their number, so the device that is full first sets the limit.
    """
    on_gpus = [free // gpu_need * len(gpus) + index for index, free in enumerate(gpus)]
    return max(1, min(cpus, memory // need, *on_gpus))
