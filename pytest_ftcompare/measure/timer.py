"""Time pieces of work round by round, with the yardsticks between them.

Each round calls every yardstick and every piece a few times, so that the machine slows both alike.
The caller must hold the device exclusively (`lease.py`).
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from statistics import median

import torch

Clock = Callable[[], float]
# Least seconds of one piece's calls in one round; chosen, above the clock's and the host's jitter.
# Raising it gives fewer rounds in a window.
ROUND_SECONDS = 0.01
# Least rounds of a window, and the rounds of `time_yardsticks`; chosen. Raising it lengthens the
# windows of slow cases.
ROUNDS = 5
CLOCK_TRIES = 3  # most attempts to time a piece while the clock goes backwards
WARM_UP_CALLS = 3  # calls of each piece before anything is timed


class ClockError(RuntimeError):
    """The clock goes backwards; the message is one sentence."""


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Workload:
    """A piece of work: the call that is timed, and what prepares it before the clock starts."""

    call: Callable[[], object]
    ready: Callable[[], object] = _nothing


@dataclass(frozen=True)
class Timing:
    """A piece's rounds.

    `rounds` has the seconds of `calls` calls, by round. `yardsticks` has the seconds of one call of
    each kind of yardstick, by round.
    """

    calls: int
    rounds: list[float]
    yardsticks: dict[str, list[float]]

    @property
    def seconds(self) -> float:
        """Return seconds of one call, the median over rounds."""
        return median(self.rounds) / self.calls

    def in_yardsticks(self, kind: str) -> float:
        """Return one call in yardsticks of the same round, the median over rounds."""
        pairs = zip(self.rounds, self.yardsticks[kind], strict=True)
        ratios = [seconds / yardstick for seconds, yardstick in pairs if yardstick > 0]
        # A clock too coarse for a yardstick gives no ratio.
        return median(ratios) / self.calls if ratios else 0.0


def synchronize(device: str) -> None:
    """Wait until the device has finished its work."""
    if device != "cpu":
        torch.get_device_module(device).synchronize()


def time_calls(piece: Workload, calls: int, device: str, clock: Clock) -> float:
    """Return the seconds of `calls` calls, with the device idle before and after.

    If the clock went backwards meanwhile, try again; raise `ClockError` if it always does.
    """
    for _ in range(CLOCK_TRIES):
        piece.ready()
        synchronize(device)
        start = clock()
        for _ in range(calls):
            piece.call()
        synchronize(device)
        if (seconds := clock() - start) >= 0:
            return seconds
    raise ClockError(
        f"expected a clock that goes forward, it went back {CLOCK_TRIES} times in a row: "
        "choose another with --benchmark-timer"
    )


def warm_up(piece: Workload, device: str, clock: Clock) -> int:
    """Warm the piece up, and return how many calls make a round, by the last call's seconds."""
    time_calls(piece, WARM_UP_CALLS - 1, device, clock)
    return max(1, math.ceil(ROUND_SECONDS / max(time_calls(piece, 1, device, clock), 1e-9)))


@cache
def freeze_library_objects() -> None:
    """Let later garbage collections skip the libraries' objects.

    Call it when the libraries are imported. It does so once per process: counts, windows and a
    timing process's cases begin with a collection, which took half a second with these objects.
    """
    gc.collect()
    gc.freeze()


@contextmanager
def no_collection() -> Iterator[None]:
    """Collect garbage first, then disable the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def time_pieces(
    work: Mapping[str, Workload],
    yardsticks: Mapping[str, Workload],
    device: str,
    budget: float,
    clock: Clock = time.perf_counter,
) -> dict[str, Timing]:
    """Time each piece; all pieces together take about `budget` seconds by `clock`."""
    with no_collection():
        begin = clock()
        pieces = {**yardsticks, **work}
        calls = {name: warm_up(piece, device, clock) for name, piece in pieces.items()}
        rounds: dict[str, list[float]] = {name: [] for name in pieces}
        count = 0
        while count < ROUNDS or clock() - begin < budget:
            for name, piece in pieces.items():
                rounds[name].append(time_calls(piece, calls[name], device, clock))
            count += 1
    beside = {kind: [seconds / calls[kind] for seconds in rounds[kind]] for kind in yardsticks}
    return {name: Timing(calls[name], rounds[name], beside) for name in work}


def time_yardsticks(
    yardsticks: Mapping[str, Workload], device: str, clock: Clock
) -> dict[str, float]:
    """Return seconds of one call of each yardstick, the median of `ROUNDS` rounds."""
    with no_collection():
        calls = {kind: warm_up(piece, device, clock) for kind, piece in yardsticks.items()}
        return {
            kind: median(time_calls(piece, calls[kind], device, clock) for _ in range(ROUNDS))
            / calls[kind]
            for kind, piece in yardsticks.items()
        }
