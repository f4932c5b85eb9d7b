"""The bench that a case works on, its hold on the device and its clock; the windows that it takes there, and what it costs."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftcompare.compare import cost
from pytest_ftcompare.compare.counts import counted
from pytest_ftcompare.compare.environment import differences
from pytest_ftcompare.compare.same_machine import elsewhere, unjudged
from pytest_ftcompare.measure.remote import Remote, RemoteError
from pytest_ftcompare.result import Result, Window
from pytest_ftcompare.speeds import Speeds
from pytest_ftcompare.told import TIMED, duration

if TYPE_CHECKING:
    from pytest_ftcompare.experiment.prepare import Prepared
    from pytest_ftcompare.measure.lease import Lease
    from pytest_ftcompare.measure.meter import Clock, Timing
    from pytest_ftcompare.options import Settings

Say = Callable[[str], None]


@dataclass(frozen=True)
class Bench:
    """What a case works on: the run's folder, the clock and the seconds of its timed windows (no clock: nothing is timed),
    where to say how far it is, and, once its device is known, the hold on it."""

    folder: Path
    clock: Clock | None
    window: float
    say: Say
    lease: Lease | None = None

    @contextmanager
    def at(self, device: str) -> Iterator[Bench]:
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


def why_untimed(
    prepared: Prepared, accepted: Result | None, candidate: Result, bench: Bench, settings: Settings, *, update: bool
) -> str:
    """Why a case that carries its method's cost is not timed, or "": no stored time could be judged.

    A GPU's windows read its memory, too, which is judged on every host.
    """
    skippable = bench.clock is not None and prepared.case.timed and prepared.setting.device == "cpu" and not update
    if not skippable or accepted is None or settings.full or settings.reference is not None:
        return ""
    if (why := unjudged(accepted, candidate, strict=settings.strict_times)) or settings.strict_times:
        return why
    return Speeds(bench).elsewhere(lambda speeds: elsewhere(accepted, candidate, speeds))


def take_windows(
    prepared: Prepared,
    accepted: Result | None,
    candidate: Result,
    bench: Bench,
    settings: Settings,
    *,
    update: bool,
) -> dict[str, Timing]:
    """Take windows into the candidate until its cost is settled; the rounds of the last one taken in
    this process, none where nothing is timed."""
    timings: dict[str, Timing] = {}
    if bench.clock is None or not prepared.case.timed:
        return timings
    strict = settings.strict_times
    shown_only = settings.reference is not None and not update  # the reference is what is compared with
    while where := cost.next_window(None if shown_only else accepted, candidate, update=update, strict=strict):
        window = fresh_window(prepared, bench, settings) if where == "fresh" else None
        if window is None:  # also where no fresh process could be had
            window, timings = take_window(prepared, bench)
        candidate.windows.append(window)
    return timings


def take_window(prepared: Prepared, bench: Bench) -> tuple[Window, dict[str, Timing]]:
    """A window in this process, alone on the device, and its rounds."""
    from pytest_ftcompare.measure.window import make_work, take

    assert bench.clock is not None
    bench.say("waiting to be alone on the device")
    work = make_work(prepared)  # its model goes with this frame, or it would stay beside the next one's
    with bench.alone():
        bench.say(TIMED)
        return take(work, prepared.setting.device, bench.window, bench.clock)


def fresh_window(prepared: Prepared, bench: Bench, settings: Settings) -> Window | None:
    """A window from a process that has done nothing else; None, with a warning, where none could be had."""
    bench.say("starting a fresh process to time in")
    try:
        with Remote() as remote:
            remote.prepare(prepared.case, prepared.setting, settings.root)
            with bench.alone():
                bench.say(f"{TIMED}  in a fresh process")
                return Window(**remote.window(bench.window))
    except RemoteError as error:
        warnings.warn(f"{prepared.case.id} was not timed in a fresh process: {error}", stacklevel=2)
        return None


def costs(accepted: Result | None, candidate: Result, *, strict: bool = False) -> list[cost.Reading]:
    """What the case costs beside its baseline, or by itself where there is none of its kind of device."""
    changes = differences(accepted.environment, candidate.environment) if accepted is not None else []
    if accepted is None or any(one.name == "device" for one in changes):
        return cost.alone(candidate)
    times = cost.timed(accepted, candidate, changes, strict=strict) if candidate.windows else []
    return [*counted(accepted, candidate, changes), *times]
