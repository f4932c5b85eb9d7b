"""What a case works with: the folder of the run, its hold on the device, and its clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftcompare.gate.worker_status import duration

if TYPE_CHECKING:
    from pytest_ftcompare.measure.lease import Lease
    from pytest_ftcompare.measure.timer import Clock

Say = Callable[[str], None]


@dataclass(frozen=True)
class RunContext:
    """What a case works on: the run's folder, the clock and the seconds of its timed windows (no clock: nothing is timed),
    where to say how far it is, and, once its device is known, the hold on it."""

    folder: Path
    clock: Clock | None
    window: float
    say: Say
    lease: Lease | None = None

    @contextmanager
    def at(self, device: str) -> Iterator[RunContext]:
        """The bench at a device ("cpu" or "cuda"), shared with other workers until it is left."""
        from pytest_ftcompare.measure.lease import Lease, shared_with

        lease = Lease(self.folder, shared_with(device, os.environ))
        try:
            with lease.shared():
                yield replace(self, lease=lease)
        finally:
            lease.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The device for this worker alone."""
        assert self.lease is not None
        with self.lease.alone():
            yield

    def pause(self) -> None:
        """Let another worker time if it wants to."""
        if self.lease is not None:
            self.lease.pause()

    def progress(self, what: str) -> Callable[[int, int, float], None]:
        """Called between two steps of a training ("seed 0"): tells it, and pauses."""

        began = time.monotonic()

        def step(number: int, steps: int, loss: float) -> None:
            if steps:
                left = (time.monotonic() - began) / max(number, 1) * (steps - number)
                self.say(f"{what}  step {number}/{steps}  loss {loss:.3f}  {duration(left)} left")
            else:
                self.say(f"{what}  evaluating")
            self.pause()

        return step
