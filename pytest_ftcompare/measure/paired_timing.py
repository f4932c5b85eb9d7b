"""Two pieces of work timed side by side, round by round, so that what the machine does to one it does to the other.

The device must be the caller's alone (`lease`).
"""

from __future__ import annotations

from collections.abc import Generator

from pytest_ftcompare.measure.timed_window import ROWS, make_work
from pytest_ftcompare.measure.timer import Clock, Workload, no_collection, timed, warm
from pytest_ftcompare.results.cost_metrics import EVALUATION, INFERENCE
from pytest_ftcompare.training.prepare import PreparedCase

MERGED = "merged "  # before the name of a piece: of a merged copy of the model


class NoWorkload(ValueError):
    """A case has no such piece of work; the message says which it has."""


def make_workload(prepared: PreparedCase, name: str) -> Workload:
    """The piece of a case by its name: "step", "evaluation" (of `ROWS` rows), "inference" (of one), or a merged one."""
    work = make_work(prepared)
    if work.merged is not None:
        rows = {EVALUATION.name: min(ROWS, len(prepared.examples["test"])), INFERENCE.name: 1}
        work.pieces.update(
            {
                f"{MERGED}{piece}": work.merged(count)
                for piece, count in rows.items()
                if MERGED in name
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
    """Seconds of one call of either, without end; the two take turns in who comes first."""
    with no_collection():
        calls = warm(first, device, clock), warm(second, device, clock)
        while True:
            one = timed(first, calls[0], device, clock) / calls[0]
            two = timed(second, calls[1], device, clock) / calls[1]
            yield one, two
            two = timed(second, calls[1], device, clock) / calls[1]
            one = timed(first, calls[0], device, clock) / calls[0]
            yield one, two
