"""Determinism: which methods repeat bit for bit, what deterministic algorithms cost, and how far
computations that should agree are apart.

Differences are relative as compare/tolerances.py takes them.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from statistics import median
from typing import Any

import torch

from pytest_ftcompare.checks.probe import build_probe, probe_update
from pytest_ftcompare.compare.tolerances import BY_PRECISION
from pytest_ftcompare.measure.paired_timing import make_workload, rounds
from pytest_ftcompare.results.cost_metrics import STEP
from pytest_ftcompare.results.result import digest, rounded
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.run_seed import run_seed
from pytest_ftcompare.training.short_training import shorten
from scripts.gpu.piece import Piece, Run, Work
from scripts.gpu.record import Values
from scripts.gpu.scope import Scope
from scripts.gpu.table import Table
from scripts.precision import differences

# By kind of difference: the field of `Tolerances` that allows it.
TOLERANCES = {
    "outputs": "loss",
    "loss": "loss",
    "norm": "gradient",
    "gradient": "gradient",
    "update": "update",
    "trace": "trace",
}
KINDS = {
    "float32": "float32 again",
    "bfloat16": "bfloat16 again",
    "tf32": "TF32 against float32",
}
COST = "deterministic algorithms"
# Of a unit of that kind: operations that have no deterministic algorithm.
NO_ALGORITHM = "no algorithm"


def _units(run: Run) -> Mapping[str, Work]:
    scope = run.scope
    return {
        f"{method}, {kind}": partial(work, scope, method)
        for method in scope.slow_methods
        for kind, work in (
            ("float32", partial(_repeat, "float32")),
            ("bfloat16", partial(_repeat, "bfloat16")),
            ("tf32", _with_tf32),
            (COST, _cost_of_determinism),
        )
    }


def _compute(prepared: PreparedCase) -> Values:
    """Return the probe, the first steps of a short training, and a digest of all of it."""
    seed = run_seed(prepared, 0, lambda *_: None, change=shorten)
    probed = build_probe(prepared)
    probe_update(prepared, probed)
    return {
        "probe": probed.record,
        "steps": seed.trace.first_steps,
        "digest": digest(asdict(seed)),
    }


def _compare(first: Values, second: Values) -> Values:
    return {
        "repeats": first["digest"] == second["digest"] and first["probe"] == second["probe"],
        "differences": {name: rounded(x, 3) for name, x in differences(first, second).items()},
    }


def _repeat(precision: str, scope: Scope, method: str) -> Values:
    """Compute twice in this process."""
    first, second = (_compute(scope.prepare(method, precision)) for _ in range(2))
    return _compare(first, second)


@contextmanager
def _tf32() -> Iterator[None]:
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False


def _with_tf32(scope: Scope, method: str) -> Values:
    """Compute without and with TF32."""
    first = _compute(scope.prepare(method))
    prepared = scope.prepare(method)
    with _tf32():
        return _compare(first, _compute(prepared))


def _cost_of_determinism(scope: Scope, method: str) -> Values:
    """Time updates in turn, with deterministic algorithms and without.

    An operation that has no deterministic algorithm warns and runs as it is.
    """
    prepared = scope.prepare(method)
    if not prepared.method.trains:
        return {"ratio": None, NO_ALGORITHM: []}
    step = make_workload(prepared, STEP.name)
    deterministic_settings: Any = torch.utils.deterministic

    def ready(deterministic: bool) -> Callable[[], object]:
        def prepare_round() -> None:
            torch.use_deterministic_algorithms(deterministic, warn_only=True)
            # By default, it also fills each new tensor, which is no cost of an algorithm.
            deterministic_settings.fill_uninitialized_memory = False
            step.ready()

        return prepare_round

    plain, deterministic = (replace(step, ready=ready(choice)) for choice in (False, True))
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            closing(rounds(plain, deterministic, scope.device, time.perf_counter)) as pairs,
        ):
            warnings.simplefilter("always")
            ratios = [second / first for first, second in islice(pairs, scope.pairs)]
    finally:
        torch.use_deterministic_algorithms(False)
        deterministic_settings.fill_uninitialized_memory = True
    operations = {
        str(warning.message).partition(" does not have")[0]
        for warning in caught
        if "deterministic" in str(warning.message)
    }
    return {"ratio": rounded(median(ratios), 4), NO_ALGORITHM: sorted(operations)}


def _of_kind(units: Mapping[str, Values], kind: str) -> dict[str, Values]:
    """Return the units of a kind by method."""
    names = {name: name.removesuffix(f", {kind}") for name in units}
    return {method: units[name] for name, method in names.items() if method != name}


def _tables(units: Mapping[str, Values]) -> Sequence[Table]:
    tables = [_differences(units), _not_repeating(units), _costs(_of_kind(units, COST))]
    return [table for table in tables if table.rows]


def _differences(units: Mapping[str, Values]) -> Table:
    """Return the largest difference over all methods, by what differs and what was computed."""
    computed = {kind: of_kind for kind in KINDS if (of_kind := _of_kind(units, kind))}
    rows = []
    for name, tolerance in TOLERANCES.items() if computed else ():
        largest = (
            max(unit["differences"].get(name, 0.0) for unit in of_kind.values())
            for of_kind in computed.values()
        )
        allowed = (getattr(tolerances, tolerance) for tolerances in BY_PRECISION.values())
        rows.append((name, *(f"{value:.2g}" for value in (*largest, *allowed))))
    columns = ("largest", *computed, *(f"{precision} may" for precision in BY_PRECISION))
    return Table("Relative differences: again, and of TF32 from float32", columns, rows)


def _not_repeating(units: Mapping[str, Values]) -> Table:
    rows = []
    for kind, title in KINDS.items():
        if of_kind := _of_kind(units, kind):
            others = [method for method, unit in of_kind.items() if not unit["repeats"]]
            count = f"{len(of_kind) - len(others)} of {len(of_kind)}"
            rows.append((title, count, ", ".join(others) or "none"))
    return Table("Methods that repeat bit for bit", ("computed", "repeat", "do not"), rows)


def _costs(of_method: Mapping[str, Values]) -> Table:
    ratios = {method: unit["ratio"] for method, unit in of_method.items() if unit["ratio"]}
    rows = []
    if ratios:
        slowest = max(ratios, key=lambda method: float(ratios[method]))
        without = sorted({name for unit in of_method.values() for name in unit[NO_ALGORITHM]})
        most = f"{ratios[slowest]:.3f} ({slowest})"
        rows.append((f"{median(ratios.values()):.3f}", most, ", ".join(without) or "none"))
    columns = ("median", "most", "operations without one")
    return Table("Time of an update with deterministic algorithms, to without", columns, rows)


DETERMINISM = Piece(
    "determinism",
    "which methods repeat, and which margin the rest needs",
    _units,
    _tables,
)
