"""The meter: durations of pieces of work, round by round, with the yardstick timed between them.

Within a round every piece is called a few times, after the yardstick: what the machine does to one it does to the other. The
device must be the caller's alone (`lease`).
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import torch

Clock = Callable[[], float]
ROUND = 0.01  # seconds that the calls of one piece in one round take at least: above the clock's and the host's jitter
ROUNDS = 5  # at least, however long they take
WARM_UP = 3  # calls of each piece before anything is timed


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Piece:
    """A piece of work: what is timed, and what makes ready for it before the clock starts."""

    call: Callable[[], object]
    ready: Callable[[], object] = _nothing


@dataclass(frozen=True)
class Timing:
    """A piece's rounds: seconds each took over its `calls`, and the seconds of one yardstick beside each."""

    calls: int
    rounds: list[float]
    yardsticks: list[float]

    @property
    def seconds(self) -> float:
        """One call, the median over rounds."""
        return median(self.rounds) / self.calls

    @property
    def in_yardsticks(self) -> float:
        """One call in yardsticks of its own round, the median over rounds."""
        return median(one / yard for one, yard in zip(self.rounds, self.yardsticks, strict=True)) / self.calls


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device != "cpu":
        torch.cuda.synchronize()


def timed(piece: Piece, calls: int, device: str, clock: Clock) -> float:
    """Seconds that so many calls take, the device idle before and after."""
    piece.ready()
    wait(device)
    start = clock()
    for _ in range(calls):
        piece.call()
    wait(device)
    return clock() - start


def warm(piece: Piece, device: str, clock: Clock) -> int:
    """Call the piece until it is warm; how many calls make a round."""
    timed(piece, WARM_UP, device, clock)
    return max(1, math.ceil(ROUND / max(timed(piece, 1, device, clock), 1e-9)))


@contextmanager
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def measure(
    work: Mapping[str, Piece], yardstick: Piece, device: str, budget: float, clock: Clock = time.perf_counter
) -> dict[str, Timing]:
    """Time each piece; all together take about `budget` seconds by `clock`."""

    with no_collection():
        begin = clock()
        calls = {name: warm(piece, device, clock) for name, piece in {**work, "yardstick": yardstick}.items()}
        rounds: dict[str, list[float]] = {name: [] for name in work}
        yardsticks: list[float] = []
        while len(yardsticks) < ROUNDS or clock() - begin < budget:
            yardsticks.append(timed(yardstick, calls["yardstick"], device, clock) / calls["yardstick"])
            for name, piece in work.items():
                rounds[name].append(timed(piece, calls[name], device, clock))
    return {name: Timing(calls[name], found, yardsticks) for name, found in rounds.items()}
