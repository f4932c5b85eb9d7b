"""Take the timed windows of a case, and compare its cost with its baseline's.

`TorchCase` takes windows with this, and `run_case` compares costs.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from pytest_ftcompare.compare import measured_cost
from pytest_ftcompare.compare.counted_cost import compare_counts
from pytest_ftcompare.compare.environment_diff import differences
from pytest_ftcompare.compare.same_machine import why_other_speeds, why_times_unjudged
from pytest_ftcompare.gate.machine_speed import MachineSpeed
from pytest_ftcompare.gate.remote import RemoteError, RemoteProcess
from pytest_ftcompare.gate.worker_status import TIMING_STATUS
from pytest_ftcompare.results.result import Result, Window

if TYPE_CHECKING:
    from pytest_ftcompare.gate.run_context import RunContext
    from pytest_ftcompare.gate.settings import Settings
    from pytest_ftcompare.measure.timer import Timing
    from pytest_ftcompare.training.prepare import PreparedCase


def why_untimed(
    prepared: PreparedCase,
    baseline: Result | None,
    candidate: Result,
    run_context: RunContext,
    settings: Settings,
    *,
    update: bool,
) -> str:
    """Return why no window is taken: the baseline's times could not be judged here; else "".

    Only windows on a CPU are skipped. A GPU's windows also read its memory, which is judged on
    every host.
    """
    on_cpu = (
        run_context.clock is not None and prepared.case.timed and prepared.config.device == "cpu"
    )
    if on_cpu and settings.provisional:
        return "--ftcompare-provisional"
    skippable = on_cpu and not update
    if not skippable or baseline is None or settings.full or settings.reference is not None:
        return ""
    if (
        reason := why_times_unjudged(baseline, candidate, strict=settings.strict_times)
    ) or settings.strict_times:
        return reason
    return MachineSpeed(run_context).machine_difference(
        lambda speeds: why_other_speeds(baseline, candidate, speeds)
    )


def take_windows(
    prepared: PreparedCase,
    baseline: Result | None,
    candidate: Result,
    run_context: RunContext,
    settings: Settings,
    *,
    update: bool,
) -> dict[str, Timing]:
    """Add windows to `candidate` until its cost is settled.

    Return the rounds of the last window that this process took, by piece of work; empty if nothing
    is timed.
    """
    timings: dict[str, Timing] = {}
    if run_context.clock is None or not prepared.case.timed:
        return timings
    strict = settings.strict_times
    # Beside a reference, the baseline's times are not compared: one window is shown.
    shown_only = settings.reference is not None and not update
    while place := measured_cost.next_window(
        None if shown_only else baseline, candidate, update=update, strict=strict
    ):
        window = take_fresh_window(prepared, run_context, settings) if place == "fresh" else None
        # A fresh process may have failed to start.
        if window is None:
            window, timings = take_window(prepared, run_context)
        candidate.windows.append(window)
    return timings


def take_window(
    prepared: PreparedCase, run_context: RunContext
) -> tuple[Window, dict[str, Timing]]:
    """Take a window in this process, alone on the device; return it and its rounds."""
    from pytest_ftcompare.measure.timed_window import make_work, measure_window

    assert run_context.clock is not None
    run_context.report_status("waiting to be alone on the device")
    # The model is released with this frame, before the next window makes its own.
    work = make_work(prepared)
    with run_context.exclusive():
        run_context.report_status(TIMING_STATUS)
        return measure_window(work, prepared.config.device, run_context.window, run_context.clock)


def take_fresh_window(
    prepared: PreparedCase, run_context: RunContext, settings: Settings
) -> Window | None:
    """Take a window in a process that has done nothing else; None, with a warning, if it fails."""
    run_context.report_status("starting a fresh process to time in")
    try:
        with RemoteProcess() as remote:
            remote.prepare(prepared.case, prepared.config, settings.root)
            with run_context.exclusive():
                run_context.report_status(f"{TIMING_STATUS}  in a fresh process")
                return Window(**remote.window(run_context.window))
    except RemoteError as error:
        warnings.warn(f"{prepared.case.id} was not timed in a fresh process: {error}", stacklevel=2)
        return None


def compare_costs(
    baseline: Result | None, candidate: Result, *, strict: bool = False
) -> list[measured_cost.CostComparison]:
    """Compare counts and times with the baseline's; without one for this device, list them."""
    changes = (
        differences(baseline.environment, candidate.environment) if baseline is not None else []
    )
    if baseline is None or any(change.name == "device" for change in changes):
        return measured_cost.costs_without_baseline(candidate)
    times = (
        measured_cost.compare_times(baseline, candidate, changes, strict=strict)
        if candidate.windows
        else []
    )
    return [*compare_counts(baseline, candidate, changes), *times]
