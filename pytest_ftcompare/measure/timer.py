"""The meter: durations of pieces of work, round by round, with the yardsticks timed between them.

Within a round every piece is called a few times, after the yardsticks: what the machine does to one
it does to the other. The device must be the caller's alone (`lease`).
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
CLOCK_TRIES = 3
WARM_UP = 3  # calls of each piece before anything is timed


class ClockError(RuntimeError):
    """The clock that is to time goes backwards; the message says so in one sentence."""


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Workload:
    """A piece of work: what is timed, and what makes ready for it before the clock starts."""

    call: Callable[[], object]
    ready: Callable[[], object] = _nothing


@dataclass(frozen=True)
class Timing:
    """A piece's rounds: seconds each took over its `calls`, and beside each the seconds of one call of
    each yardstick, by kind."""

    calls: int
    rounds: list[float]
    yardsticks: dict[str, list[float]]

    @property
    def seconds(self) -> float:
        """One call, the median over rounds."""
        return median(self.rounds) / self.calls

    def in_yardsticks(self, kind: str) -> float:
        """One call in yardsticks of a kind, of its own round: the median over rounds."""
        pairs = zip(self.rounds, self.yardsticks[kind], strict=True)
        ratios = [seconds / yardstick for seconds, yardstick in pairs if yardstick > 0]
        return (
            median(ratios) / self.calls if ratios else 0.0
        )  # of a clock too coarse for a yardstick


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device != "cpu":
        torch.cuda.synchronize()


def timed(piece: Workload, calls: int, device: str, clock: Clock) -> float:
    """Seconds that so many calls take, the device idle before and after.

    Where the clock was set back meanwhile, they are called again; `ClockError` where it always is.
    """
    for _ in range(CLOCK_TRIES):
        piece.ready()
        wait(device)
        start = clock()
        for _ in range(calls):
            piece.call()
        wait(device)
        if (seconds := clock() - start) >= 0:
            return seconds
    raise ClockError(
        f"expected a clock that goes forward, it went back {CLOCK_TRIES} times in a row: choose another with --benchmark-timer"
    )


def warm(piece: Workload, device: str, clock: Clock) -> int:
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
    work: Mapping[str, Workload],
    yardsticks: Mapping[str, Workload],
    device: str,
    budget: float,
    clock: Clock = time.perf_counter,
) -> dict[str, Timing]:
    """Time each piece; all together take about `budget` seconds by `clock`."""

    with no_collection():
        begin = clock()
        pieces = {**yardsticks, **work}
        calls = {name: warm(piece, device, clock) for name, piece in pieces.items()}
        rounds: dict[str, list[float]] = {name: [] for name in pieces}
        count = 0
        while count < ROUNDS or clock() - begin < budget:
            for name, piece in pieces.items():
                rounds[name].append(timed(piece, calls[name], device, clock))
            count += 1
    beside = {kind: [one / calls[kind] for one in rounds[kind]] for kind in yardsticks}
    return {name: Timing(calls[name], rounds[name], beside) for name in work}


def speeds(yardsticks: Mapping[str, Workload], device: str, clock: Clock) -> dict[str, float]:
    """Seconds of one call of each yardstick: the median of `ROUNDS` rounds."""
    with no_collection():
        calls = {kind: warm(piece, device, clock) for kind, piece in yardsticks.items()}
        return {
            kind: median(timed(piece, calls[kind], device, clock) for _ in range(ROUNDS))
            / calls[kind]
            for kind, piece in yardsticks.items()
        }
