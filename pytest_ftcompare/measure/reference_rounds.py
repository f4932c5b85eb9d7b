"""Rounds of a case's work in two processes that take turns: a reference's, and this environment's.

What the machine does to one it does to the other, so their seconds are compared on any machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pytest_ftcompare.measure.timed_window import make_work
from pytest_ftcompare.measure.timer import Clock, no_collection, timed, warm
from pytest_ftcompare.results.cost_metrics import MERGED_INFERENCE
from pytest_ftcompare.training.prepare import PreparedCase

LEAST = 10  # pairs of rounds of each piece, however long they take
Pairs = dict[str, list[tuple[float, float]]]


class Side(Protocol):
    """One of the two processes: the names of its pieces, and the seconds of one call of a piece."""

    @property
    def pieces(self) -> list[str]: ...

    def round(self, piece: str) -> float: ...


class LocalSide:
    """The work of a case in this process, made and warm."""

    def __init__(self, prepared: PreparedCase, clock: Clock) -> None:
        work = make_work(prepared)
        self._work = dict(work.pieces)
        if work.merged:
            self._work[MERGED_INFERENCE.name] = work.merged(1)
        self._device, self._clock = prepared.config.device, clock
        self._calls = {name: warm(piece, self._device, clock) for name, piece in self._work.items()}

    @property
    def pieces(self) -> list[str]:
        return list(self._work)

    def round(self, piece: str) -> float:
        calls = self._calls[piece]
        return timed(self._work[piece], calls, self._device, self._clock) / calls


def rounds(
    reference: Side, here: Side, seconds: float, clock: Clock, watch: Callable[[], object]
) -> Pairs:
    """Seconds (reference, here) of one call of each piece that both have, in turn for about so long;
    who comes first changes with each round."""
    pairs: Pairs = {name: [] for name in here.pieces if name in reference.pieces}
    count = 0
    with no_collection():
        begin = clock()
        while count < LEAST or clock() - begin < seconds:
            watch()
            for name, taken in pairs.items():
                sides = (here, reference) if count % 2 else (reference, here)
                took = {side: side.round(name) for side in sides}
                taken.append((took[reference], took[here]))
            count += 1
    return pairs
