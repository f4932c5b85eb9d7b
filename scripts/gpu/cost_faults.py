"""Planted faults of cost, judged by the gate's own comparison of counts, time, memory and energy.

Each case has a baseline, with as many windows as the gate's have. A run with a fault claims an
upgrade, without which the gate judges no time.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from pytest_ftcompare.gate import remote
from pytest_ftcompare.gate.profiles import POCKET
from pytest_ftcompare.gate.project_config import ProjectConfig
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.gate.timing import compare_costs, take_windows
from pytest_ftcompare.gate.torch_case import make_candidate
from pytest_ftcompare.measure.counted_update import count_update
from pytest_ftcompare.results.result import Result, rounded
from scripts.gpu.faulty_serve import FAULT_VARIABLE, PLANTED
from scripts.gpu.piece import Piece, Run, Work
from scripts.gpu.record import Values
from scripts.gpu.scope import Scope
from scripts.gpu.table import Table
from scripts.gpu.timing_noise import run_context
from tests.faults import change, cost

BASELINE = "baseline"
FAULTY_SERVER = "scripts.gpu.faulty_serve"
# Gradient checkpointing is on, so that a fault can turn it off.
OPTIONS: Mapping[str, Any] = {"gradient_checkpointing": True, "epochs": 2}
FOUND = ("worse", "changed")


def _units(run: Run) -> Mapping[str, Work]:
    scope = run.scope
    faults = tuple(PLANTED) if scope.faults is None else scope.faults
    units: dict[str, Work] = {}
    for method in scope.fault_methods:
        units[f"{method}, {BASELINE}"] = partial(_baseline, scope, method)
        for fault in faults:
            units[f"{method}, {fault}"] = partial(_planted, run, method, fault)
    return units


def _settings(scope: Scope) -> Settings:
    """Return the settings of an ordinary session that compares."""
    return Settings(
        profile=POCKET,
        project=ProjectConfig(),
        hub=scope.hub,
        baselines=scope.root / "baselines",
        update=False,
        new_only=False,
        seeds=POCKET.seeds,
        budget=POCKET.seeds,
        strict=False,
        strict_times=False,
        provisional=False,
        full=False,
        reference=None,
        root=scope.root,
        threads=POCKET.threads,
        device=scope.device,
        window=scope.window,
        reports=(),
        history=None,
        resume=False,
    )


def _measure(scope: Scope, method: str, baseline: Result | None) -> Result:
    """Count and time a case as the gate does: for a baseline, or until it is settled."""
    prepared = scope.prepare(method, **OPTIONS)
    result = replace(make_candidate(prepared), signature={"execution": count_update(prepared)})
    if baseline is not None:
        result.environment["peft"] = "an upgrade that is claimed"
    with run_context(scope) as run, run.hold_device(scope.device) as context:
        settings = _settings(scope)
        take_windows(prepared, baseline, result, context, settings, update=baseline is None)
    return result


def _baseline(scope: Scope, method: str) -> Values:
    return {"result": json.loads(_measure(scope, method, None).to_json())}


@contextmanager
def _fault(name: str) -> Iterator[None]:
    """Plant a fault in this process and in those that the gate starts, and take it back."""
    usual_server = remote.SERVER_MODULE
    remote.SERVER_MODULE, os.environ[FAULT_VARIABLE] = FAULTY_SERVER, name
    PLANTED[name]()
    try:
        yield
    finally:
        change.undo()
        cost.LEAKED_MODELS.clear()
        gc.collect()
        del os.environ[FAULT_VARIABLE]
        remote.SERVER_MODULE = usual_server


def _planted(run: Run, method: str, fault: str) -> Values:
    """Return which metrics show the fault, and each metric's change."""
    stored = run.values(f"{method}, {BASELINE}")["result"]
    baseline = Result.from_json(json.dumps(stored))
    with _fault(fault):
        candidate = _measure(run.scope, method, baseline)
    costs = compare_costs(baseline, candidate)
    return {
        "found by": [cost.metric for cost in costs if cost.outcome in FOUND],
        "windows": len(candidate.windows),
        "changes": {cost.metric: [rounded(cost.change, 3), cost.outcome] for cost in costs},
    }


def _tables(units: Mapping[str, Values]) -> Sequence[Table]:
    metrics_by_fault: dict[str, list[tuple[str, ...]]] = {}
    for name, unit in units.items():
        fault = name.partition(", ")[2]
        if fault != BASELINE:
            metrics_by_fault.setdefault(fault, []).append(tuple(unit["found by"]))
    rows = [
        (
            fault,
            f"{sum(map(bool, cases))} of {len(cases)}",
            ", ".join(sorted({metric for metrics in cases for metric in metrics})),
        )
        for fault, cases in metrics_by_fault.items()
    ]
    return [Table("Planted faults", ("fault", "found", "by"), rows)] if rows else []


COST_FAULTS = Piece("faults", "which planted faults of cost the gate finds", _units, _tables)
