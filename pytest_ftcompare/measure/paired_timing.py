"""Time two pieces of work in alternating rounds, so that the machine slows both alike.

Claims about time use it. The caller must hold the device exclusively (`lease.py`).
"""

from __future__ import annotations

from collections.abc import Generator

from pytest_ftcompare.measure.timed_window import EVALUATION_ROWS, make_work
from pytest_ftcompare.measure.timer import Clock, Workload, no_collection, time_calls, warm_up
from pytest_ftcompare.results.cost_metrics import EVALUATION, INFERENCE
from pytest_ftcompare.training.prepare import PreparedCase

# Prefix of a piece that runs on a merged copy of the model.
MERGED_PREFIX = "merged "


class NoWorkload(ValueError):
    """The case lacks the piece of work; the message lists those that it has."""


def make_workload(prepared: PreparedCase, name: str) -> Workload:
    """Return a case's piece of work: "step", "evaluation", "inference", or "merged " and a name.

    An evaluation has up to `EVALUATION_ROWS` rows, an inference one. Raises `NoWorkload`.
    """
    work = make_work(prepared)
    if work.merged is not None:
        rows = {
            EVALUATION.name: min(EVALUATION_ROWS, len(prepared.examples["test"])),
            INFERENCE.name: 1,
        }
        work.pieces.update(
            {
                f"{MERGED_PREFIX}{piece}": work.merged(count)
                for piece, count in rows.items()
                if MERGED_PREFIX in name
            }
        )
    if name not in work.pieces:
        raise NoWorkload(
            f"{prepared.case.id} has no {name} to be timed: expected {', '.join(work.pieces)}"
        )
    return work.pieces[name]


def rounds(
    first: Workload, second: Workload, device: str, clock: Clock
) -> Generator[tuple[float, float]]:
    """Yield seconds of one call of each, without end; the order changes after each round."""
    with no_collection():
        calls = warm_up(first, device, clock), warm_up(second, device, clock)
        while True:
            first_seconds = time_calls(first, calls[0], device, clock) / calls[0]
            second_seconds = time_calls(second, calls[1], device, clock) / calls[1]
            yield first_seconds, second_seconds
            second_seconds = time_calls(second, calls[1], device, clock) / calls[1]
            first_seconds = time_calls(first, calls[0], device, clock) / calls[0]
            yield first_seconds, second_seconds
