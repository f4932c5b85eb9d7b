"""Smoke: every method does two updates and an evaluation on the GPU, in both precisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch

from pytest_ftcompare.results.result import rounded
from pytest_ftcompare.training.evaluate import evaluate
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import Training
from scripts.gpu.piece import Piece, Run, Work
from scripts.gpu.record import Values
from scripts.gpu.scope import Scope
from scripts.gpu.table import Table

UPDATES = 2  # of each stage, chosen: the second has optimiser state
EVALUATED_ROWS = 8  # chosen


def _units(run: Run) -> Mapping[str, Work]:
    return {
        f"{method}, {precision}": partial(_try, run.scope, method, precision)
        for method in run.scope.methods
        for precision in run.scope.precisions
    }


def _try(scope: Scope, method: str, precision: str) -> Values:
    """Return the losses of the last stage and of the evaluation, and the peak of memory."""
    allocator = torch.get_device_module(scope.device)
    # Before CUDA has started, its peaks cannot be reset.
    torch.ones(1, device=scope.device)
    allocator.reset_peak_memory_stats()
    prepared = scope.prepare(method, precision)
    context = PreparedSeed(prepared, 0, prepared.case.shots)
    torch.manual_seed(0)
    model = prepared.adapted()
    losses: list[float] = []
    for stage in prepared.method.stages(model, context) if prepared.method.trains else ():
        training = Training(model, prepared.method, stage, UPDATES, 0)
        rows = list(range(min(stage.recipe.batch_size, len(stage.rows))))
        losses = [rounded(training.update(rows).loss) for _ in range(UPDATES)]
    examples = prepared.examples["test"][:EVALUATED_ROWS]
    tokens = prepared.encode(examples, context.support)
    evaluation = evaluate(model, prepared.interface, tokens, examples)
    return {
        "losses": losses,
        "evaluation loss": rounded(evaluation.loss),
        "peak bytes": allocator.max_memory_allocated(),
    }


def _tables(units: Mapping[str, Values]) -> Sequence[Table]:
    rows = []
    for precision in dict.fromkeys(name.rpartition(", ")[2] for name in units):
        done = {name: unit for name, unit in units.items() if name.endswith(f", {precision}")}
        if done:
            peak = max(unit["peak bytes"] for unit in done.values())
            rows.append((precision, str(len(done)), f"{peak / 2**20:.0f} MiB"))
    columns = ("precision", "methods", "peak")
    return [Table("Methods that trained and evaluated", columns, rows)] if rows else []


SMOKE = Piece("smoke", "every method trains and evaluates in both precisions", _units, _tables)
