"""NVML's readings against torch's allocator, idle and under load, and what a GPU does not give."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from statistics import median
from typing import Any

import torch

from pytest_ftcompare.measure.gpu_memory_sampler import GpuMemorySampler
from pytest_ftcompare.measure.gpu_readings import gpu_name
from pytest_ftcompare.measure.nvml import Gpu, Unavailable, joules, open_gpu
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.torch_settings import WORKSPACE_VARIABLE, apply_torch_settings
from scripts.gpu.piece import Piece, Run, Work
from scripts.gpu.process import call_apart
from scripts.gpu.record import Values
from scripts.gpu.scope import Scope
from scripts.gpu.table import Table

MIB = 2**20
# Allocations that NVML's reading is compared with; chosen, around the allocator's blocks of 2 and
# 20 MiB and far above.
SIZES = (1 * MIB, 16 * MIB, 256 * MIB)
# Width of the square matrices that make the load; chosen: a product takes milliseconds on a GPU.
WIDTH = 1024
# Seconds of load, and of polling the energy counter; chosen. The counter moves some tens of times.
LOAD_SECONDS = 2.0
# Readings of the energy counter that are enough; chosen. Raising it makes the medians finer.
ENOUGH_MOVES = 20
WORKSPACES = ("the project's workspace", "torch's own workspace")


def _units(run: Run) -> Mapping[str, Work]:
    scope = run.scope
    return {
        **{name: partial(_first_product, scope, name) for name in WORKSPACES},
        "queries": partial(_queries, scope),
        "context": partial(_context, scope),
        **{f"{size // MIB} MiB": partial(_allocation, scope, size) for size in SIZES},
        "load": partial(_load, scope),
        "energy": partial(_energy, scope),
    }


def _open(scope: Scope) -> Gpu:
    """Return the GPU that torch uses; raise `RuntimeError` if NVML cannot read it."""
    gpu = open_gpu(gpu_name(scope.device, os.environ))
    if isinstance(gpu, Unavailable):
        raise RuntimeError(f"NVML cannot read this GPU: {gpu.reason}")
    return gpu


def _first_product(scope: Scope, workspace: str) -> Values:
    """Return the bytes that matrix products add beside their results: two forward, one backward."""
    # CUDA reads the workspace's size once per process.
    return call_apart(partial(_products, scope.device, workspace), scope.start_method)


def _products(device: str, workspace: str) -> Values:
    if workspace == WORKSPACES[0]:
        apply_torch_settings(TrainingConfig("pocket", device))
    else:
        os.environ.pop(WORKSPACE_VARIABLE, None)
    allocator = torch.get_device_module(device)
    matrix = torch.ones(WIDTH, WIDTH, device=device)
    extra = []
    for _ in range(2):
        allocator.reset_peak_memory_stats()
        before = allocator.memory_allocated()
        product = matrix @ matrix
        peak = allocator.max_memory_allocated()
        extra.append(peak - before - product.untyped_storage().nbytes())
        del product
    # Autograd's thread has a handle and a workspace of its own.
    leaf = matrix.clone().requires_grad_()
    product = leaf @ matrix
    allocator.reset_peak_memory_stats()
    before = allocator.memory_allocated()
    product.backward(matrix)
    assert leaf.grad is not None
    peak = allocator.max_memory_allocated()
    extra.append(peak - before - leaf.grad.untyped_storage().nbytes())
    return {"extra bytes": extra}


def _queries(scope: Scope) -> Values:
    """Return what NVML gives for this GPU, and the names of what it does not give."""
    gpu = _open(scope)
    torch.ones(1, device=scope.device)
    readings: dict[str, Any] = asdict(gpu.state()) | {
        "energy": gpu.energy_mj(),
        "memory": gpu.memory(),
        "memory of this process": gpu.used_by(os.getpid()),
    }
    given = {name: value for name, value in readings.items() if value not in (None, {}, ())}
    # Empty readings are given: no reason for the clocks, no other process.
    missing = [name for name, value in readings.items() if value is None or value == {}]
    # Process ids and the machine's clock say nothing of the GPU.
    for name in ("taken_at", "others"):
        given.pop(name, None)
    return {"given": given, "missing": missing}


def _context(scope: Scope) -> Values:
    """Return the bytes of this process beside what the allocator holds."""
    gpu, allocator = _open(scope), torch.get_device_module(scope.device)
    matrix = torch.ones(WIDTH, WIDTH, device=scope.device)
    _ = matrix @ matrix
    allocator.synchronize()
    used = gpu.used_by(os.getpid())
    context = None if used is None else used - allocator.memory_reserved()
    return {"NVML": used, "reserved": allocator.memory_reserved(), "context": context}


def _allocation(scope: Scope, size: int) -> Values:
    """Return how far three readings move when `size` bytes are allocated."""
    gpu, allocator = _open(scope), torch.get_device_module(scope.device)
    allocator.empty_cache()

    def readings() -> tuple[int | None, int, int]:
        allocator.synchronize()
        return gpu.used_by(os.getpid()), allocator.memory_allocated(), allocator.memory_reserved()

    before = readings()
    block = torch.empty(size, dtype=torch.uint8, device=scope.device)
    after = readings()
    del block
    moved = [
        None if old is None or new is None else new - old
        for old, new in zip(before, after, strict=True)
    ]
    return {"size": size, **dict(zip(("NVML", "allocated", "reserved"), moved, strict=True))}


def _products_for(device: str, seconds: float) -> Iterator[torch.Tensor]:
    """Yield matrix products for some seconds."""
    matrix = torch.ones(WIDTH, WIDTH, device=device)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield matrix @ matrix


def _load(scope: Scope) -> Values:
    """Sample this process's memory under load."""
    gpu, allocator = _open(scope), torch.get_device_module(scope.device)
    allocator.reset_peak_memory_stats()
    with GpuMemorySampler(gpu, os.getpid()) as sampler:
        for _ in _products_for(scope.device, LOAD_SECONDS):
            allocator.synchronize()
    state = gpu.state()
    return {
        "samples": sampler.samples,
        "failed": sampler.failed,
        "NVML peak": sampler.peak,
        "reserved peak": allocator.max_memory_reserved(),
        "clock, MHz": state.sm_clock,
        "clock reasons": state.reasons,
        "temperature": state.temperature,
    }


def _energy(scope: Scope) -> Values:
    """Poll the energy counter, idle and under load."""
    gpu, allocator = _open(scope), torch.get_device_module(scope.device)
    if gpu.energy_mj() is None:
        raise RuntimeError("this GPU has no energy counter, or is a slice of one")
    matrix = torch.ones(WIDTH, WIDTH, device=scope.device)

    def work() -> None:
        _ = matrix @ matrix
        allocator.synchronize()

    return {"idle": _poll(gpu, lambda: None), "load": _poll(gpu, work)}


def _poll(gpu: Gpu, work: Callable[[], None]) -> Values:
    """Return how often the counter moves, its smallest step, and the power."""
    start = moved_at = time.monotonic()
    first = last = gpu.energy_mj()
    steps, intervals = list[int](), list[float]()
    while time.monotonic() - start < LOAD_SECONDS and len(steps) <= ENOUGH_MOVES:
        work()
        reading, now = gpu.energy_mj(), time.monotonic()
        if reading != last and reading is not None and last is not None:
            steps.append(reading - last)
            intervals.append(now - moved_at)
            last, moved_at = reading, now
    spent = joules(first, last)
    # The first move came at an unknown time after the one before it.
    return {
        "moves": len(steps),
        "smallest step, mJ": min(steps, default=None),
        "interval, ms": round(1e3 * median(intervals[1:]), 2) if intervals[1:] else None,
        "watts": round(spent / (moved_at - start), 1) if spent and moved_at > start else None,
    }


def _bytes(value: object) -> str:
    return f"{value / MIB:,.1f} MiB" if isinstance(value, int | float) else "not given"


def _tables(units: Mapping[str, Values]) -> Sequence[Table]:
    tables = []
    if queries := units.get("queries"):
        missing = ", ".join(queries["missing"]) or "nothing"
        tables.append(Table("What NVML does not give", ("queries",), [(missing,)]))
    allocations = [units[f"{size // MIB} MiB"] for size in SIZES if f"{size // MIB} MiB" in units]
    columns = ("NVML", "allocated", "reserved")
    rows = [
        (_bytes(unit["size"]), *(_bytes(unit[name]) for name in columns)) for unit in allocations
    ]
    tables.append(Table("What an allocation adds to each reading", ("size", *columns), rows))
    rows = [
        (name, *(_bytes(extra) for extra in units[name]["extra bytes"]))
        for name in WORKSPACES
        if name in units
    ]
    products = ("", "first", "second", "backward")
    tables.append(Table("What a matrix product adds to the peak", products, rows))
    if context := units.get("context"):
        row = (_bytes(context["NVML"]), _bytes(context["reserved"]), _bytes(context["context"]))
        columns = ("NVML", "reserved", "difference")
        tables.append(Table("A process's CUDA context", columns, [row]))
    if energy := units.get("energy"):
        names = ("moves", "smallest step, mJ", "interval, ms", "watts")
        rows = [(kind, *(str(energy[kind][name]) for name in names)) for kind in ("idle", "load")]
        tables.append(Table("The energy counter", ("", *names), rows))
    return [table for table in tables if table.rows]


NVML_READINGS = Piece("nvml", "NVML's readings against the allocator's", _units, _tables)
