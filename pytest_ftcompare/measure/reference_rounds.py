"""Time a case's work in turn in two processes: a reference environment's and this one's.

`gate/reference_timing.py` compares the seconds. The machine slows both alike, so any machine will
do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pytest_ftcompare.measure.cpu_contention import (
    RoundTime,
    cpu_accounting,
    other_threads_compute,
    round_time,
    why_rounds_disturbed,
)
from pytest_ftcompare.measure.timed_window import make_work
from pytest_ftcompare.measure.timer import Clock, no_collection, time_calls, warm_up
from pytest_ftcompare.results.cost_metrics import MERGED_INFERENCE
from pytest_ftcompare.training.prepare import PreparedCase

# Least rounds of each piece, an even number; chosen. Raising it takes longer and knows the rounds'
# noise better.
MIN_ROUNDS = 10
# Seconds between two looks whether a side still computes, and how many looks; chosen. The threads
# of OpenMP spin for some milliseconds. Raising either waits longer for threads that never rest.
IDLE_INTERVAL = 0.001
MAX_LOOKS = 100
Pairs = dict[str, list[tuple[float, float]]]


class Side(Protocol):
    """One of the two processes: its pieces' names, and one round of a piece."""

    @property
    def pieces(self) -> list[str]: ...

    def round(self, piece: str) -> RoundTime: ...


@dataclass(frozen=True)
class RoundsInTurn:
    """Seconds (reference, here) of one call of each piece, by round, and what disturbed them.

    The reference came first in the first of two rounds, and second in the second one.
    """

    pairs: Pairs
    disturbed: str


class LocalSide:
    """A case's work in this process, warmed up."""

    def __init__(self, prepared: PreparedCase, clock: Clock) -> None:
        work = make_work(prepared)
        self._work = dict(work.pieces)
        if work.merged:
            self._work[MERGED_INFERENCE.name] = work.merged(1)
        self._device, self._clock = prepared.config.device, clock
        self._calls = {
            name: warm_up(piece, self._device, clock) for name, piece in self._work.items()
        }

    @property
    def pieces(self) -> list[str]:
        return list(self._work)

    def round(self, piece: str) -> RoundTime:
        calls, before = self._calls[piece], cpu_accounting()
        seconds = time_calls(self._work[piece], calls, self._device, self._clock) / calls
        taken = round_time(seconds, before)
        wait_until_idle()
        return taken


def wait_until_idle(
    computes: Callable[[], bool] = other_threads_compute,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return when this process's threads no longer compute, so that the other side has the cores.

    After a call, the threads of OpenMP spin for a while in case that another one follows.
    """
    for _ in range(MAX_LOOKS):
        if not computes():
            return
        sleep(IDLE_INTERVAL)


def rounds(
    reference: Side,
    here: Side,
    clock: Clock,
    go_on: Callable[[Pairs, float], bool],
    watch: Callable[[], object],
) -> RoundsInTurn:
    """Time each piece that both sides have.

    The rounds come in twos, with the other side first in the second one. After `MIN_ROUNDS`, they
    continue while `go_on` wants it, given the pairs and the seconds passed. `watch` is called
    before each round.
    """
    pairs: Pairs = {name: [] for name in here.pieces if name in reference.pieces}
    taken: dict[Side, list[RoundTime]] = {reference: [], here: []}
    count = 0
    with no_collection():
        begin = clock()
        while count < MIN_ROUNDS or go_on(pairs, clock() - begin):
            for sides in ((reference, here), (here, reference)):
                watch()
                for name, piece_pairs in pairs.items():
                    for side in sides:
                        taken[side].append(side.round(name))
                    piece_pairs.append((taken[reference][-1].seconds, taken[here][-1].seconds))
            count += 2
    reasons = filter(None, map(why_rounds_disturbed, taken.values()))
    return RoundsInTurn(pairs, next(reasons, ""))
