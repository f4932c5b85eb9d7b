"""What is read beside a timed window: a GPU's memory by the allocator and by the driver, its energy, the device's state.

The allocator's peak is exact and covers spikes between the driver's samples; the driver's is what a user sees. On a CPU memory
is counted (`step_counts.py`), and its state is whether the worker had its core.
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
from pytest_ftcompare.measure.cpu_contention import disturbed as not_scheduled
from pytest_ftcompare.measure.gpu_memory_sampler import GpuMemorySampler
from pytest_ftcompare.measure.nvml import Gpu, Unavailable, joules, open_gpu
from pytest_ftcompare.measure.nvml import disturbed as why_disturbed
from pytest_ftcompare.measure.timer import Workload, wait
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

SECONDS = (
    1.0  # seconds of updates whose energy is read: the counter moves every few tens of milliseconds
)
KEPT = (
    "driver",
    "sm_clock",
    "max_sm_clock",
    "memory_clock",
    "power_limit",
    "reasons",
    "temperature",
    "ecc_errors",
)  # of a state
PHASES: dict[str, Phase] = {
    EVALUATION.name: "evaluation",
    STEP.name: "training",
}  # piece -> what its memory is called; no optimiser state in the first


@dataclass
class GpuReadings:
    """Values by metric, why others could not be read, the device's state after the window, and what disturbed it."""

    values: dict[str, float] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    state: Json = field(default_factory=dict)
    disturbed: str = ""


def _memory(pieces: Mapping[str, Workload], gpu: Gpu | Unavailable, found: GpuReadings) -> None:
    gc.collect()  # what earlier cases left in circles
    for name, phase in PHASES.items():
        if name not in pieces:
            continue
        pieces[name].ready()
        pieces[
            name
        ].call()  # what is made once, such as the optimiser's state and a kernel's workspace, is made
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        metric = PROCESS[phase].name
        if isinstance(gpu, Unavailable):
            pieces[name].call()
            found.unread[metric] = gpu.reason
        else:
            with GpuMemorySampler(gpu, os.getpid()) as sampler:
                pieces[name].call()
                wait("cuda")
            if sampler.peak is None:
                found.unread[metric] = (
                    sampler.failed or "the driver does not tell this process's memory"
                )
            else:
                found.values[metric] = sampler.peak
        wait("cuda")
        found.values[ALLOCATED[phase].name] = torch.cuda.max_memory_allocated()
        found.values[RESERVED[phase].name] = torch.cuda.max_memory_reserved()


def _energy(step: Workload, rows: int, gpu: Gpu | Unavailable, found: GpuReadings) -> None:
    metric = ENERGY.name
    if isinstance(gpu, Unavailable):
        found.unread[metric] = gpu.reason
        return
    step.ready()
    wait("cuda")
    before, start, count = gpu.energy_mj(), time.perf_counter(), 0
    while not count or time.perf_counter() - start < SECONDS:
        step.call()
        count += rows
    wait("cuda")
    spent = joules(before, gpu.energy_mj())
    if not spent:
        found.unread[metric] = "the GPU has no energy counter, or is a slice of one"
    else:
        found.values[metric] = 1000 * spent / count


def _name(environ: Mapping[str, str]) -> str:
    """The slice that this process was given, or else the GPU that torch computes on."""
    first = environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    return (
        first
        if first.startswith("MIG-")
        else str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
    )


def read(
    device: str,
    pieces: Mapping[str, Workload],
    rows: int,
    timed: Callable[[Callable[[], object]], object],
) -> GpuReadings:
    """Read what there is to read of the pieces, then run `timed`, which calls what it is given between its rounds.

    `rows` are the examples of one step.
    """
    found, start = GpuReadings(), cpu_accounting()
    if device == "cpu":
        timed(lambda: None)
        found.disturbed = not_scheduled(start, cpu_accounting())
        return found
    gpu = open_gpu(_name(os.environ))
    states = [] if isinstance(gpu, Unavailable) else [gpu.state()]
    _memory(pieces, gpu, found)
    if STEP.name in pieces:
        _energy(pieces[STEP.name], rows, gpu, found)

    def watch() -> None:
        if not isinstance(gpu, Unavailable):
            states.append(gpu.state())

    start = cpu_accounting()
    timed(watch)
    found.disturbed = not_scheduled(
        start, cpu_accounting()
    )  # a host that lost its cores cannot feed its GPU
    if isinstance(gpu, Unavailable):
        return found
    states.append(gpu.state())
    found.state = {name: value for name, value in asdict(states[-1]).items() if name in KEPT}
    disturbances = [
        why for before, after in pairwise(states) if (why := why_disturbed(before, after))
    ]
    found.disturbed = "; ".join(dict.fromkeys(filter(None, [*disturbances[:1], found.disturbed])))
    return found
