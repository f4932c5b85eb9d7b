"""The noise of timed windows with nothing changed: time, memory and energy of every method.

A method is timed in this process and in a fresh one, alone, and in one of several fresh processes
that share the GPU by the lease, as under `-n 4`. results/cost_metrics.py states the noise that the
gate assumes, between processes and within one; `noise` gives what was measured.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

from pytest_ftcompare.gate.remote import RemoteError, RemoteProcess
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.gate.timing import take_window
from pytest_ftcompare.results.cost_metrics import KINDS, METRICS, CostMetric
from scripts.gpu.piece import Piece, Run, Work, failure_sentence
from scripts.gpu.record import Values
from scripts.gpu.scope import Scope
from scripts.gpu.table import Table

TOGETHER = "together: "
Windows = Sequence[Mapping[str, Any]]


def _units(run: Run) -> Mapping[str, Work]:
    scope, methods = run.scope, run.scope.slow_methods
    starts = range(0, len(methods), scope.workers)
    # The last group is filled up with the first methods.
    filled = methods * (scope.workers + 1)
    groups = [filled[start : start + scope.workers] for start in starts]
    # These come first: a CUDA context of this process would be another process on the GPU.
    return {
        **{TOGETHER + ", ".join(group): partial(_together, scope, group) for group in groups},
        **{method: partial(_alone, scope, method) for method in methods},
    }


@contextmanager
def run_context(scope: Scope) -> Iterator[RunContext]:
    """Yield a context of the gate; `hold_device` then shares the GPU as a worker does."""
    with tempfile.TemporaryDirectory() as folder:
        yield RunContext(Path(folder), time.perf_counter, scope.window, lambda _: None)


def _alone(scope: Scope, method: str) -> Values:
    """Take windows in this process and in a fresh one, as the gate does."""
    prepared = scope.prepare(method)
    with run_context(scope) as run, run.hold_device(scope.device) as context:
        here = [asdict(take_window(prepared, context)[0]) for _ in range(scope.windows)]
        return {"windows": {method: [*here, *_fresh_windows(scope, method, context)]}}


def _fresh_windows(scope: Scope, method: str, context: RunContext) -> Windows:
    prepared = scope.prepare(method)
    windows = []
    with RemoteProcess() as remote:
        remote.prepare(prepared.case, prepared.config, scope.root)
        for _ in range(scope.windows):
            with context.exclusive():
                windows.append(remote.window(scope.window))
    return windows


def _together(scope: Scope, methods: Sequence[str]) -> Values:
    """Take windows in as many processes as methods, which share the GPU by the lease."""
    failed: dict[str, str] = {}

    def work(method: str) -> Windows:
        try:
            with run.hold_device(scope.device) as context:
                return _fresh_windows(scope, method, context)
        except RemoteError as error:
            failed[method] = failure_sentence(error)
            return []

    with run_context(scope) as run, ThreadPoolExecutor(len(methods)) as pool:
        taken = list(pool.map(work, methods))
    if len(failed) == len(methods):
        raise RemoteError(f"no process took a window: {next(iter(failed.values()))}")
    windows: dict[str, list[Mapping[str, Any]]] = {method: [] for method in methods}
    for method, new in zip(methods, taken, strict=True):
        windows[method] += new
    return {"windows": windows, "failed": failed}


@dataclass(frozen=True)
class Noise:
    """A metric's SD of logarithms within a process and between processes, from `windows` windows.

    `together` is the median over methods of the readings of several processes at once, over those
    alone. A value that too few windows give is None.
    """

    metric: CostMetric
    windows: int
    within: float | None
    between: float | None
    together: float | None


def noise(units: Mapping[str, Values]) -> Iterator[Noise]:
    """Yield the noise of each metric that was read."""
    for metric in METRICS.values():
        alone, together = (_logarithms(units, metric, together=choice) for choice in (False, True))
        methods = [
            [*alone.get(name, {}).values(), *together.get(name, {}).values()]
            for name in {**alone, **together}
        ]
        processes = [values for method in methods for values in method]
        if not processes:
            continue
        count = sum(map(len, processes))
        within = _pooled_variance(processes)
        between = _pooled_variance([[*map(fmean, method)] for method in methods])
        if between is not None and within is not None:
            # The mean of a process's windows also has a share of the noise within.
            between = max(0.0, between - within / (count / len(processes)))
        ratios = [
            fmean(map(fmean, together[name].values())) - fmean(map(fmean, alone[name].values()))
            for name in alone.keys() & together.keys()
        ]
        ratio = math.exp(median(ratios)) if ratios else None
        yield Noise(metric, count, _root(within), _root(between), ratio)


def _windows(units: Mapping[str, Values], *, together: bool) -> Iterator[tuple[str, Windows]]:
    """Yield methods and their windows, alone or together."""
    for name, unit in units.items():
        if name.startswith(TOGETHER) == together:
            yield from unit["windows"].items()


def _logarithms(
    units: Mapping[str, Values], metric: CostMetric, *, together: bool
) -> dict[str, dict[str, list[float]]]:
    """Return the logarithms of a metric's undisturbed readings, by method and process.

    A time is in the metric's yardsticks.
    """
    place = 1 + KINDS.index(metric.kind)
    logs: dict[str, dict[str, list[float]]] = {}
    for method, windows in _windows(units, together=together):
        for window in windows:
            if metric.name in window["times"]:
                value = window["times"][metric.name][place]
            else:
                value = window["readings"].get(metric.name, 0.0)
            if value > 0 and not window["disturbed"]:
                processes = logs.setdefault(method, {})
                processes.setdefault(window["process"], []).append(math.log(value))
    return logs


def _pooled_variance(groups: Sequence[Sequence[float]]) -> float | None:
    """Return the variance around each group's mean; None if no group has two values."""
    freedom = sum(len(group) - 1 for group in groups if group)
    squares = sum((value - fmean(group)) ** 2 for group in groups for value in group)
    return squares / freedom if freedom else None


def _root(variance: float | None) -> float | None:
    return None if variance is None else math.sqrt(variance)


def _tables(units: Mapping[str, Values]) -> Sequence[Table]:
    rows = [
        (
            entry.metric.name,
            str(entry.windows),
            *(_number(entry.within), f"{entry.metric.within:g}"),
            *(_number(entry.between), f"{entry.metric.between:g}"),
            "" if entry.together is None else f"{entry.together:.3f}",
        )
        for entry in noise(units)
    ]
    columns = ("metric", "windows", "within", "now", "between", "now", "together")
    reasons = Counter(
        window["disturbed"]
        for choice in (False, True)
        for _, windows in _windows(units, together=choice)
        for window in windows
        if window["disturbed"]
    )
    tables = [
        Table(
            "SD of the logarithm within a process and between two, and those in use now",
            columns,
            rows,
        ),
        Table(
            "Windows that were disturbed",
            ("windows", "by"),
            [(str(count), reason) for reason, count in reasons.most_common()],
        ),
    ]
    return [table for table in tables if table.rows]


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.2g}"


TIMING_NOISE = Piece("timing", "the noise of time, memory and energy", _units, _tables)
