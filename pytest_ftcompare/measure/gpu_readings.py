"""Read a timed window's GPU memory and energy, the device's state, and what disturbed the window.

`timed_window.py` and the gate's paired timings call `take_readings`. The allocator's peak is exact
and includes spikes between the driver's samples; the driver's reading is what a user sees. On a
CPU, memory is counted instead (`step_counts.py`), and a window is disturbed if the worker lost its
cores.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise

import torch

from pytest_ftcompare.measure.cpu_contention import cpu_accounting
from pytest_ftcompare.measure.cpu_contention import disturbed as cpu_disturbed
from pytest_ftcompare.measure.gpu_memory_sampler import GpuMemorySampler
from pytest_ftcompare.measure.nvml import Gpu, Unavailable, joules, open_gpu
from pytest_ftcompare.measure.nvml import disturbed as gpu_disturbed
from pytest_ftcompare.measure.timer import Workload, synchronize
from pytest_ftcompare.results.cost_metrics import (
    ALLOCATED,
    ENERGY,
    EVALUATION,
    PROCESS,
    RESERVED,
    STEP,
    Phase,
)
from pytest_ftcompare.results.result import Json

# Seconds of updates per energy reading. The GPU's counter moves every few tens of milliseconds;
# raising it makes the reading finer and the window longer.
ENERGY_SECONDS = 1.0
# Fields of a GpuState that a result stores.
STATE_FIELDS = (
    "driver",
    "sm_clock",
    "max_sm_clock",
    "memory_clock",
    "power_limit",
    "reasons",
    "temperature",
    "ecc_errors",
)
# Piece of work -> the phase in its memory metrics' names. Evaluation comes first, before the
# optimiser has state.
PIECE_PHASES: dict[str, Phase] = {EVALUATION.name: "evaluation", STEP.name: "training"}


@dataclass
class GpuReadings:
    """Values by metric in its unit, reasons for unavailable metrics, the device's last state, and
    what disturbed the window."""

    values: dict[str, float] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    device_state: Json = field(default_factory=dict)
    disturbed: str = ""


def _memory(
    device: str, pieces: Mapping[str, Workload], gpu: Gpu | Unavailable, readings: GpuReadings
) -> None:
    allocator = torch.get_device_module(device)
    # Free what reference cycles of earlier cases hold.
    gc.collect()
    for name, phase in PIECE_PHASES.items():
        if name not in pieces:
            continue
        pieces[name].ready()
        # The first call allocates what later calls reuse: optimiser state and kernels' workspaces.
        pieces[name].call()
        allocator.empty_cache()
        allocator.reset_peak_memory_stats()
        metric = PROCESS[phase].name
        if isinstance(gpu, Unavailable):
            pieces[name].call()
            readings.unavailable[metric] = gpu.reason
        else:
            with GpuMemorySampler(gpu, os.getpid()) as sampler:
                pieces[name].call()
                synchronize(device)
            if sampler.peak is None:
                readings.unavailable[metric] = (
                    sampler.failed or "the driver does not report this process's memory"
                )
            else:
                readings.values[metric] = sampler.peak
        synchronize(device)
        readings.values[ALLOCATED[phase].name] = allocator.max_memory_allocated()
        readings.values[RESERVED[phase].name] = allocator.max_memory_reserved()


def _energy(
    device: str, step: Workload, rows: int, gpu: Gpu | Unavailable, readings: GpuReadings
) -> None:
    metric = ENERGY.name
    if isinstance(gpu, Unavailable):
        readings.unavailable[metric] = gpu.reason
        return
    step.ready()
    synchronize(device)
    before, start, count = gpu.energy_mj(), time.perf_counter(), 0
    while not count or time.perf_counter() - start < ENERGY_SECONDS:
        step.call()
        count += rows
    synchronize(device)
    spent = joules(before, gpu.energy_mj())
    if not spent:
        readings.unavailable[metric] = "the GPU has no energy counter, or is a slice of one"
    else:
        readings.values[metric] = 1000 * spent / count


def gpu_name(device: str, environ: Mapping[str, str]) -> str:
    """Return the UUID of this process's MIG slice, or else of the GPU that torch uses."""
    first = environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    if first.startswith("MIG-"):
        return first
    module = torch.get_device_module(device)
    return str(module.get_device_properties(module.current_device()).uuid)


def take_readings(
    device: str,
    pieces: Mapping[str, Workload],
    rows: int,
    timed: Callable[[Callable[[], object]], object],
    *,
    computes: bool = True,
) -> GpuReadings:
    """Read memory and energy of the pieces on a GPU, then run `timed` and watch the device.

    `rows` are the examples of one update. `timed` gets a function to call between its rounds,
    which records the GPU's state. Without `computes`, other processes compute what is timed.
    """
    readings, start = GpuReadings(), cpu_accounting()
    if device == "cpu":
        timed(lambda: None)
        readings.disturbed = cpu_disturbed(start, cpu_accounting(), computes=computes)
        return readings
    gpu = open_gpu(gpu_name(device, os.environ))
    states = [] if isinstance(gpu, Unavailable) else [gpu.state()]
    _memory(device, pieces, gpu, readings)
    if STEP.name in pieces:
        _energy(device, pieces[STEP.name], rows, gpu, readings)

    def watch() -> None:
        if not isinstance(gpu, Unavailable):
            states.append(gpu.state())

    start = cpu_accounting()
    timed(watch)
    # A host that lost its cores cannot feed its GPU.
    readings.disturbed = cpu_disturbed(start, cpu_accounting(), computes=computes)
    if isinstance(gpu, Unavailable):
        return readings
    states.append(gpu.state())
    readings.device_state = {
        name: value for name, value in asdict(states[-1]).items() if name in STATE_FIELDS
    }
    disturbances = [
        reason for before, after in pairwise(states) if (reason := gpu_disturbed(before, after))
    ]
    readings.disturbed = "; ".join(
        dict.fromkeys(filter(None, [*disturbances[:1], readings.disturbed]))
    )
    return readings
