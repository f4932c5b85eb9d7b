"""One timed window: a method's model made afresh, and what its updates, its evaluation and its answers cost.

It trains on one batch of the case's own rows, with the loop's own update, and must have the device alone.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean, median

import torch
from torch import nn

from pytest_ftcompare.measure.gpu_readings import read
from pytest_ftcompare.measure.timer import Clock, Timing, Workload, measure, speeds
from pytest_ftcompare.measure.yardstick import BESIDE, make_yardsticks
from pytest_ftcompare.results.cost_metrics import EVALUATION, INFERENCE, MERGED_INFERENCE, STEP
from pytest_ftcompare.results.result import Window, rounded
from pytest_ftcompare.training.evaluate import evaluate
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import Training

PROCESS = secrets.token_hex(4)  # windows of one process share what it did to their times
ROWS = 32  # of the test split in a timed evaluation
STEPS = 100_000  # for which the schedule of a timed training is made: a window stays at its beginning, where all steps are alike


@dataclass(frozen=True)
class TimedWork:
    """What is timed: pieces by name, the number of rows that a step learns from, and the answers of a merged copy of the model
    to so many rows, which is made only when a GPU's memory was read without it."""

    pieces: dict[str, Workload]
    rows: int
    merged: Callable[[int], Workload] | None = None


def make_work(prepared: PreparedCase) -> TimedWork:
    """The pieces of a case: an update, an evaluation, an answer, and an answer of the merged model where there is one."""
    context = PreparedSeed(prepared, 0, prepared.case.shots)
    torch.manual_seed(0)
    model = prepared.adapted()
    examples = prepared.examples["test"][:ROWS]
    rows = prepared.encode(examples, context.support)

    def answers(asked: nn.Module, count: int) -> Callable[[], object]:
        return lambda: evaluate(asked, prepared.interface, rows[:count], examples[:count])

    pieces: dict[str, Workload] = {}
    batch = 0
    if prepared.method.trains:
        stage = context.stage(prepared.method.recipe)
        training = Training(model, prepared.method, stage, STEPS, 0)
        batch = min(prepared.method.recipe.batch_size, len(stage.rows))
        pieces[STEP.name] = Workload(lambda: training.update(list(range(batch))), model.train)
    pieces[EVALUATION.name] = Workload(answers(model, len(rows)))
    pieces[INFERENCE.name] = Workload(answers(model, 1))

    def merged(count: int) -> Workload:
        return Workload(answers(prepared.method.merge(copy.deepcopy(model)), count))

    return TimedWork(pieces, batch, merged if prepared.method.mergeable else None)


def _pieces(device: str) -> tuple[dict[str, Workload], dict[str, Workload]]:
    """The yardsticks that are timed beside pieces of work, and the others."""
    pieces = {kind: Workload(call) for kind, call in make_yardsticks(device).items()}
    return {kind: pieces[kind] for kind in BESIDE}, {
        kind: pieces[kind] for kind in pieces if kind not in BESIDE
    }


def measure_machine(device: str, clock: Clock) -> dict[str, float]:
    """Seconds of the yardsticks that are timed beside no piece of work, as a window has them."""
    return {
        kind: rounded(value) for kind, value in speeds(_pieces(device)[1], device, clock).items()
    }


def take(
    work: TimedWork, device: str, seconds: float, clock: Clock
) -> tuple[Window, dict[str, Timing]]:
    """The window, about so many seconds long, and the rounds of each piece that its times are the
    medians of."""
    timings: dict[str, Timing] = {}
    yardsticks, others = _pieces(device)
    speed: list[dict[str, float]] = []

    def timed(watch: Callable[[], object]) -> None:
        merged = {MERGED_INFERENCE.name: work.merged(1)} if work.merged else {}
        beside = dict(yardsticks)
        # The device is looked at between rounds, where it costs nothing that is timed.
        beside[BESIDE[0]] = replace(beside[BESIDE[0]], ready=watch)
        speed.append(speeds(others, device, clock))
        timings.update(measure(work.pieces | merged, beside, device, seconds, clock))
        speed.append(speeds(others, device, clock))

    readings = read(device, work.pieces, work.rows, timed)
    times = {
        name: [rounded(one.seconds), *(rounded(one.in_yardsticks(kind)) for kind in BESIDE)]
        for name, one in timings.items()
    }
    beside = next(iter(timings.values())).yardsticks
    machine = {kind: rounded(median(beside[kind])) for kind in BESIDE}
    machine |= {kind: rounded(fmean(at[kind] for at in speed)) for kind in others}
    window = Window(
        times,
        readings.values,
        readings.unread,
        readings.state,
        readings.disturbed,
        PROCESS,
        machine,
    )
    return window, timings
