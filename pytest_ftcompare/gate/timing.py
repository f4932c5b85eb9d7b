"""The timed windows of a case, and what it costs beside its baseline."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from pytest_ftcompare.compare import measured_cost
from pytest_ftcompare.compare.counted_cost import compare_counts
from pytest_ftcompare.compare.environment_diff import differences
from pytest_ftcompare.compare.same_machine import elsewhere, unjudged
from pytest_ftcompare.gate.machine_speed import MachineSpeed
from pytest_ftcompare.gate.remote import Remote, RemoteError
from pytest_ftcompare.gate.worker_status import TIMED
from pytest_ftcompare.results.result import Result, Window

if TYPE_CHECKING:
    from pytest_ftcompare.gate.run_context import RunContext
    from pytest_ftcompare.gate.settings import Settings
    from pytest_ftcompare.measure.timer import Timing
    from pytest_ftcompare.training.prepare import PreparedCase


def why_untimed(
    prepared: PreparedCase,
    accepted: Result | None,
    candidate: Result,
    run_context: RunContext,
    settings: Settings,
    *,
    update: bool,
) -> str:
    """Why the case takes no timed window, "" where it takes some: its baseline's times could not be judged here.

    A GPU's windows read its memory, too, which is judged on every host.
    """
    skippable = (
        run_context.clock is not None
        and prepared.case.timed
        and prepared.config.device == "cpu"
        and not update
    )
    if not skippable or accepted is None or settings.full or settings.reference is not None:
        return ""
    if (
        why := unjudged(accepted, candidate, strict=settings.strict_times)
    ) or settings.strict_times:
        return why
    return MachineSpeed(run_context).elsewhere(
        lambda speeds: elsewhere(accepted, candidate, speeds)
    )


def take_windows(
    prepared: PreparedCase,
    accepted: Result | None,
    candidate: Result,
    run_context: RunContext,
    settings: Settings,
    *,
    update: bool,
) -> dict[str, Timing]:
    """Take windows into the candidate until its cost is settled; the rounds of the last one taken in
    this process, none where nothing is timed."""
    timings: dict[str, Timing] = {}
    if run_context.clock is None or not prepared.case.timed:
        return timings
    strict = settings.strict_times
    shown_only = (
        settings.reference is not None and not update
    )  # the reference is what is compared with
    while where := measured_cost.next_window(
        None if shown_only else accepted, candidate, update=update, strict=strict
    ):
        window = fresh_window(prepared, run_context, settings) if where == "fresh" else None
        if window is None:  # also where no fresh process could be had
            window, timings = take_window(prepared, run_context)
        candidate.windows.append(window)
    return timings


def take_window(
    prepared: PreparedCase, run_context: RunContext
) -> tuple[Window, dict[str, Timing]]:
    """A window in this process, alone on the device, and its rounds."""
    from pytest_ftcompare.measure.timed_window import make_work, take

    assert run_context.clock is not None
    run_context.say("waiting to be alone on the device")
    work = make_work(
        prepared
    )  # its model goes with this frame, or it would stay beside the next one's
    with run_context.alone():
        run_context.say(TIMED)
        return take(work, prepared.config.device, run_context.window, run_context.clock)


def fresh_window(
    prepared: PreparedCase, run_context: RunContext, settings: Settings
) -> Window | None:
    """A window from a process that has done nothing else; None, with a warning, where none could be had."""
    run_context.say("starting a fresh process to time in")
    try:
        with Remote() as remote:
            remote.prepare(prepared.case, prepared.config, settings.root)
            with run_context.alone():
                run_context.say(f"{TIMED}  in a fresh process")
                return Window(**remote.window(run_context.window))
    except RemoteError as error:
        warnings.warn(f"{prepared.case.id} was not timed in a fresh process: {error}", stacklevel=2)
        return None


def costs(
    accepted: Result | None, candidate: Result, *, strict: bool = False
) -> list[measured_cost.CostComparison]:
    """What the case costs beside its baseline, or by itself where there is none of its kind of device."""
    changes = (
        differences(accepted.environment, candidate.environment) if accepted is not None else []
    )
    if accepted is None or any(one.name == "device" for one in changes):
        return measured_cost.alone(candidate)
    times = (
        measured_cost.compare_times(accepted, candidate, changes, strict=strict)
        if candidate.windows
        else []
    )
    return [*compare_counts(accepted, candidate, changes), *times]
