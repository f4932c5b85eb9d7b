"""Time a case in turn with a reference, which is another environment.

A reference counts only if it computes what the baseline does, and shows no difference when timed
against itself. `TorchCase` calls this for timed cases under --ftcompare-reference. On a CPU, it
replaces this run's own windows.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftcompare.compare import divergence, measured_cost
from pytest_ftcompare.compare.measured_cost import NOT_READ, CostComparison
from pytest_ftcompare.gate.machine_speed import REMEASURE_AFTER
from pytest_ftcompare.gate.remote import RemoteError, RemoteProcess
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.gate.timing_processes import TIMING_PROCESSES
from pytest_ftcompare.gate.worker_status import TIMING_STATUS
from pytest_ftcompare.results.cost_metrics import (
    EVALUATION,
    INFERENCE,
    MERGED_INFERENCE,
    METRICS,
    STEP,
)
from pytest_ftcompare.results.result import Result

if TYPE_CHECKING:
    from pytest_ftcompare.measure.reference_rounds import Pairs, RoundsInTurn, Side
    from pytest_ftcompare.measure.timer import Timing
    from pytest_ftcompare.training.prepare import PreparedCase

# Longest timing in turn, in windows, if the rounds do not become precise earlier; chosen. A higher
# value settles more times on a noisy machine and takes longer there.
MAX_LENGTH = 4.0
# The same where a change is suspected, which few cases have; chosen.
MAX_SUSPECTED_LENGTH = 16.0
# Times that disturbed rounds are taken before the reference is given up, chosen. A higher value
# waits longer on a busy machine.
MAX_TRIES = 2


class TooNoisy(RemoteError):
    """The machine is too noisy to time; the message says what it measured."""


@dataclass(frozen=True)
class TimesBeside:
    """A case's times compared with a reference's, and this environment's rounds by piece of work.

    `refusal` says why the reference does not count, "" if it does; then nothing is compared.
    """

    comparisons: Sequence[CostComparison] = ()
    timings: dict[str, Timing] = field(default_factory=dict)
    refusal: str = ""

    def replace_times(self, costs: Sequence[CostComparison]) -> list[CostComparison]:
        """Return `costs` with these times; times that a window shows stay, not compared."""
        comparisons = self.comparisons
        if self.refusal:
            shown = {cost.metric: cost.new for cost in costs}
            comparisons = [
                replace(comparison, new=shown.get(comparison.metric, NOT_READ))
                for comparison in comparisons
            ]
        return [*(cost for cost in costs if cost.unit != "s"), *comparisons]


@dataclass(frozen=True)
class ReferenceTiming:
    """A case that is timed in turn with the reference of the settings."""

    prepared: PreparedCase
    baseline: Result
    run_context: RunContext
    settings: Settings

    def compare_times(self) -> TimesBeside:
        """Time in turn and compare; a second pair of fresh processes must confirm a change."""
        assert self.settings.reference is not None
        try:
            python = self.settings.reference.python_for(
                self.baseline, self.run_context.report_status
            )
            return self._time_unless_noisy(python)
        except RemoteError as error:
            return self._refused(f"no reference: {error}")

    def _time_unless_noisy(self, python: Path) -> TimesBeside:
        """Time beside `python`, unless the machine was too noisy for it a moment ago."""
        clock = self.run_context.clock
        assert clock is not None
        if python in _NOISY and clock() - _NOISY[python][0] < REMEASURE_AFTER:
            raise TooNoisy(_NOISY[python][1])
        try:
            first, process = self._check_and_time(python)
            comparisons = _judge([first], process)
            if any(map(measured_cost.is_suspicious, comparisons)):
                # A fresh process has a name of its own.
                fresh = self._time_fresh_processes(python)
                comparisons = _judge([first, fresh], secrets.token_hex(4))
        except TooNoisy as error:
            _NOISY[python] = clock(), str(error)
            raise
        return TimesBeside(comparisons, _timings(first))

    def _refused(self, refusal: str) -> TimesBeside:
        """Return the case's times as not compared."""
        method = self.prepared.method
        metrics = [*([STEP] if method.trains else []), EVALUATION, INFERENCE]
        metrics += [MERGED_INFERENCE] if method.mergeable else []
        comparisons = [measured_cost.not_read(metric.name, refusal) for metric in metrics]
        return TimesBeside(comparisons, refusal=refusal)

    def _start(self, python: Path | None) -> RemoteProcess:
        """Start a process of `python`, or of this environment, and prepare the case in it."""
        remote = RemoteProcess(python)
        try:
            self._prepare(remote)
        except RemoteError:
            remote.close()
            raise
        return remote

    def _prepare(self, remote: RemoteProcess) -> None:
        remote.prepare(self.prepared.case, self.prepared.config, self.settings.root)
        # A worker that waits to time need not wait for all that is still to prepare.
        self.run_context.pause()

    def _check_and_time(self, python: Path) -> tuple[Pairs, str]:
        """Return rounds with the reference and the name of this environment's process.

        Both sides are processes of one kind: this one, with pytest and all that it has trained, is
        some percent slower. Raise `RemoteError` if the reference does not count.
        """
        self.run_context.report_status("checking the reference")
        # A process that is kept has its model in memory, which a GPU must have free.
        keep = self.prepared.config.device == "cpu"
        with (
            TIMING_PROCESSES.process_of(python, keep=keep) as reference,
            TIMING_PROCESSES.process_of(None, keep=keep) as here,
        ):
            self._prepare(reference)
            probed = replace(self.baseline, probe=reference.probe())
            if differences := divergence.compare_probes(self.baseline, probed):
                raise RemoteError(
                    f"{python} does not compute what the baseline does ({differences[0].text}): "
                    "install the baseline's versions there"
                )
            self.run_context.pause()
            if python not in _CHECKED_REFERENCES:
                self._check_against_itself(python, reference)
                _CHECKED_REFERENCES.add(python)
            self._prepare(here)
            return self._time_in_turn(reference, here), here.name

    def _check_against_itself(self, python: Path, reference: RemoteProcess) -> None:
        """Raise `RemoteError` if two processes of the reference differ by more than the margin."""
        with self._start(python) as second:
            comparisons = _judge([self._time_in_turn(reference, second)], second.name)
        for comparison in comparisons:
            if abs(comparison.change) > METRICS[comparison.metric].margin:
                raise TooNoisy(
                    f"{python} timed against itself differs by {comparison.change:+.1%} in "
                    f"{comparison.metric}: try again on a quieter machine"
                )

    def _time_fresh_processes(self, python: Path) -> Pairs:
        """Return rounds of two processes that have done nothing else."""
        with self._start(python) as reference, self._start(None) as here:
            return self._time_in_turn(reference, here, suspected=True)

    def _wants_more_rounds(self, pairs: Pairs, seconds: float, *, suspected: bool) -> bool:
        """Check whether rounds that took `seconds` are too noisy, and may go on."""
        if measured_cost.are_precise(pairs):
            return False
        suspected = suspected or any(map(measured_cost.is_suspicious, _judge([pairs])))
        longest = MAX_SUSPECTED_LENGTH if suspected else MAX_LENGTH
        return seconds < longest * self.run_context.window

    def _time_in_turn(self, reference: Side, here: Side, *, suspected: bool = False) -> Pairs:
        """Return undisturbed rounds in turn with the device alone.

        They go on for longer if a change is `suspected`, or if they show one.
        """
        from pytest_ftcompare.measure.gpu_readings import take_readings
        from pytest_ftcompare.measure.reference_rounds import rounds

        clock, go_on = self.run_context.clock, partial(self._wants_more_rounds, suspected=suspected)
        assert clock is not None
        taken: list[RoundsInTurn] = []

        def take(watch: Callable[[], object]) -> None:
            taken.append(rounds(reference, here, clock, go_on, watch))

        for _ in range(MAX_TRIES):
            with self.run_context.exclusive():
                self.run_context.report_status(f"{TIMING_STATUS}  beside the reference")
                device = self.prepared.config.device
                readings = take_readings(device, {}, 0, take, computes=False)
            if not (disturbed := readings.disturbed or taken[-1].disturbed):
                return taken[-1].pairs
        raise TooNoisy(f"every window beside it was disturbed: {disturbed}")


# References that agreed with themselves in this process, and when and why it was too noisy.
_CHECKED_REFERENCES: set[Path] = set()
_NOISY: dict[Path, tuple[float, str]] = {}


def _judge(rounds: Sequence[Pairs], process: str = "") -> list[CostComparison]:
    """Compare the times of rounds, given separately for each pair of processes.

    `process` is the name of this environment's latest one.
    """
    return measured_cost.side_by_side(
        {name: [pairs[name] for pairs in rounds] for name in rounds[0]}, process
    )


def _timings(pairs: Pairs) -> dict[str, Timing]:
    """Return this environment's rounds of one call each."""
    from pytest_ftcompare.measure.timer import Timing

    return {name: Timing(1, [here for _, here in rounds], {}) for name, rounds in pairs.items()}
