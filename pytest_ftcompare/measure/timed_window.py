"""Take one timed window: the cost of updates, evaluation and inference on a fresh model.

The gate calls `make_work` and `measure_window`. Training uses one batch of the case's rows and the
loop's own update. The caller must hold the device exclusively.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean, median

import torch
from torch import nn

from pytest_ftcompare.measure.gpu_readings import take_readings
from pytest_ftcompare.measure.timer import Clock, Timing, Workload, time_pieces, time_yardsticks
from pytest_ftcompare.measure.yardstick import INTERLEAVED, make_yardsticks
from pytest_ftcompare.results.cost_metrics import EVALUATION, INFERENCE, MERGED_INFERENCE, STEP
from pytest_ftcompare.results.result import Window, rounded
from pytest_ftcompare.training.evaluate import evaluate
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import Training

# A random name: windows of one process share its effect on their times.
PROCESS_NAME = secrets.token_hex(4)
# Test rows in a timed evaluation; chosen. Raising it makes a window longer.
EVALUATION_ROWS = 32
# Updates of the schedule; chosen, so that a window stays at its start, where all updates are alike.
SCHEDULE_STEPS = 100_000


@dataclass(frozen=True)
class TimedWork:
    """The pieces of work of a case, by name.

    `rows` is the number of rows of one update. `merged(count)` makes a merged copy of the model and
    its evaluation of `count` rows; call it only after a GPU's memory was read without the copy.
    """

    pieces: dict[str, Workload]
    rows: int
    merged: Callable[[int], Workload] | None = None


def make_work(prepared: PreparedCase) -> TimedWork:
    """Return a case's update, evaluation and inference, and merging if the method can merge."""
    context = PreparedSeed(prepared, 0, prepared.case.shots)
    torch.manual_seed(0)
    model = prepared.adapted()
    examples = prepared.examples["test"][:EVALUATION_ROWS]
    rows = prepared.encode(examples, context.support)

    def evaluation(network: nn.Module, count: int) -> Callable[[], object]:
        return lambda: evaluate(network, prepared.interface, rows[:count], examples[:count])

    pieces: dict[str, Workload] = {}
    batch = 0
    if prepared.method.trains:
        stage = context.stage(prepared.method.recipe)
        training = Training(model, prepared.method, stage, SCHEDULE_STEPS, 0)
        batch = min(prepared.method.recipe.batch_size, len(stage.rows))
        pieces[STEP.name] = Workload(lambda: training.update(list(range(batch))), model.train)
    pieces[EVALUATION.name] = Workload(evaluation(model, len(rows)))
    pieces[INFERENCE.name] = Workload(evaluation(model, 1))

    def merged(count: int) -> Workload:
        return Workload(evaluation(prepared.method.merge(copy.deepcopy(model)), count))

    return TimedWork(pieces, batch, merged if prepared.method.mergeable else None)


def _yardsticks(device: str) -> tuple[dict[str, Workload], dict[str, Workload]]:
    """Return the yardsticks that are timed between the rounds, and the others."""
    pieces = {kind: Workload(call) for kind, call in make_yardsticks(device).items()}
    return {kind: pieces[kind] for kind in INTERLEAVED}, {
        kind: pieces[kind] for kind in pieces if kind not in INTERLEAVED
    }


def measure_machine_speed(device: str, clock: Clock) -> dict[str, float]:
    """Return seconds, by kind, of the yardsticks that are not timed between rounds."""
    return {
        kind: rounded(value)
        for kind, value in time_yardsticks(_yardsticks(device)[1], device, clock).items()
    }


def measure_window(
    work: TimedWork, device: str, seconds: float, clock: Clock
) -> tuple[Window, dict[str, Timing]]:
    """Take a window of about `seconds`; return it and each piece's rounds.

    A window's times are the medians of the rounds.
    """
    timings: dict[str, Timing] = {}
    yardsticks, others = _yardsticks(device)
    speeds: list[dict[str, float]] = []

    def timed(watch: Callable[[], object]) -> None:
        merged = {MERGED_INFERENCE.name: work.merged(1)} if work.merged else {}
        beside = dict(yardsticks)
        # `watch` reads the device's state between rounds, outside what is timed.
        beside[INTERLEAVED[0]] = replace(beside[INTERLEAVED[0]], ready=watch)
        speeds.append(time_yardsticks(others, device, clock))
        timings.update(time_pieces(work.pieces | merged, beside, device, seconds, clock))
        speeds.append(time_yardsticks(others, device, clock))

    readings = take_readings(device, work.pieces, work.rows, timed)
    times = {
        name: [
            rounded(timing.seconds),
            *(rounded(timing.in_yardsticks(kind)) for kind in INTERLEAVED),
        ]
        for name, timing in timings.items()
    }
    beside = next(iter(timings.values())).yardsticks
    machine = {kind: rounded(median(beside[kind])) for kind in INTERLEAVED}
    machine |= {kind: rounded(fmean(speed[kind] for speed in speeds)) for kind in others}
    window = Window(
        times,
        readings.values,
        readings.unavailable,
        readings.device_state,
        readings.disturbed,
        PROCESS_NAME,
        machine,
    )
    return window, timings
