"""The resources of a case in a run: the run folder, the hold on the device, and the clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftcompare.gate.worker_status import format_duration

if TYPE_CHECKING:
    from pytest_ftcompare.measure.lease import Lease
    from pytest_ftcompare.measure.timer import Clock

ReportStatus = Callable[[str], None]


@dataclass(frozen=True)
class RunContext:
    """The resources of a case.

    `folder` is the run folder. `clock` is None if nothing is timed. `window` is the length of a
    timed window in seconds. `report_status` takes the words of the live display. `subject` is the
    case or claim in it. `lease` is the hold on the device, once the device is known.
    """

    folder: Path
    clock: Clock | None
    window: float
    report_status: ReportStatus
    subject: str = ""
    lease: Lease | None = None

    @contextmanager
    def hold_device(self, device: str) -> Iterator[RunContext]:
        """Yield a context that shares a device ("cpu" or "cuda") with other workers."""
        from pytest_ftcompare.measure.lease import Lease, lease_name

        lease = Lease(self.folder, lease_name(device, os.environ))
        try:
            with lease.shared():
                yield replace(self, lease=lease)
        finally:
            lease.close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the device alone, to time work on it."""
        assert self.lease is not None
        with self.lease.exclusive():
            yield

    def pause(self) -> None:
        """Let another worker that waits for the device have it alone."""
        if self.lease is not None:
            self.lease.pause()

    def progress(self, phase: str) -> Callable[[int, int, float], None]:
        """Return a function to call between training steps; it reports the step and pauses.

        `phase` names what is trained, such as "seed 0".
        """

        start = time.monotonic()

        def report_step(step: int, steps: int, loss: float) -> None:
            if steps:
                seconds_left = (time.monotonic() - start) / max(step, 1) * (steps - step)
                self.report_status(
                    f"{phase}  step {step}/{steps}  loss {loss:.3f}"
                    f"  {format_duration(seconds_left)} left"
                )
            else:
                self.report_status(f"{phase}  evaluating")
            self.pause()

        return report_step
