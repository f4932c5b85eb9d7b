"""A case timed beside a reference: another environment whose process takes its rounds in turn with this one's.

A reference counts only when it computes what the baseline does and, timed against itself, shows no
difference. Called by the gate for timed cases under --ftcompare-reference.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftcompare.compare import divergence, measured_cost
from pytest_ftcompare.compare.measured_cost import CostComparison
from pytest_ftcompare.gate.remote import Remote, RemoteError
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.gate.worker_status import TIMED
from pytest_ftcompare.results.cost_metrics import METRICS
from pytest_ftcompare.results.result import Result

if TYPE_CHECKING:
    from pytest_ftcompare.measure.reference_rounds import Pairs, Side
    from pytest_ftcompare.training.prepare import PreparedCase

LENGTH = 2.0  # windows that rounds in turn take: two processes share the time
TRIES = 2  # of rounds that other processes disturbed


@dataclass(frozen=True)
class SideBySide:
    """A case and the reference that it is timed beside."""

    prepared: PreparedCase
    baseline: Result
    run_context: RunContext
    settings: Settings

    def readings(self, alone: Sequence[CostComparison]) -> list[CostComparison]:
        """Times beside the reference's, in the place of those read alone. A suspicion is confirmed by a
        second pair of fresh processes. Where a reference does not count, no time is compared."""
        assert self.settings.reference is not None
        try:
            taken = [self._checked(self.settings.reference)]
            if any(reading.outcome == "open" for reading in _judge(taken)):
                taken.append(self._confirmed(self.settings.reference))
        except RemoteError as error:
            reason = f"no reference: {error}"
            return [_not_compared(one, reason) if one.unit == "s" else one for one in alone]
        return [*(one for one in alone if one.unit != "s"), *_judge(taken)]

    def _remote(self, python: Path | None) -> Remote:
        """A process, with the case made."""
        remote = Remote(python)
        try:
            remote.prepare(self.prepared.case, self.prepared.config, self.settings.root)
        except RemoteError:
            remote.close()
            raise
        return remote

    def _checked(self, python: Path) -> Pairs:
        """Rounds beside a reference that computes what the baseline does and agrees with itself."""
        from pytest_ftcompare.measure.reference_rounds import LocalSide

        assert self.run_context.clock is not None
        self.run_context.say("checking the reference")
        with self._remote(python) as reference:
            probed = replace(self.baseline, probe=reference.probe())
            if differences := divergence.compare_probes(self.baseline, probed):
                raise RemoteError(
                    f"{python} does not compute what the baseline does ({differences[0].text}): "
                    "install the baseline's versions there"
                )
            if python not in _SOUND:
                self._against_itself(python, reference)
                _SOUND.add(python)
            return self._taken(reference, LocalSide(self.prepared, self.run_context.clock))

    def _against_itself(self, python: Path, reference: Remote) -> None:
        """Raise `RemoteError` where a second process of the reference takes another time."""
        with self._remote(python) as again:
            readings = _judge([self._taken(reference, again)])
        for reading in readings:
            if abs(reading.change) > METRICS[reading.metric].margin:
                raise RemoteError(
                    f"{python} timed against itself differs by {reading.change:+.1%} in "
                    f"{reading.metric}: try again on a quieter machine"
                )

    def _confirmed(self, python: Path) -> Pairs:
        """Rounds of two processes that have done nothing else."""
        with self._remote(python) as reference, self._remote(None) as here:
            return self._taken(reference, here)

    def _taken(self, reference: Side, here: Side) -> Pairs:
        """Rounds in turn with the device alone, undisturbed."""
        from pytest_ftcompare.measure.gpu_readings import read
        from pytest_ftcompare.measure.reference_rounds import rounds

        clock, seconds = self.run_context.clock, LENGTH * self.run_context.window
        assert clock is not None
        pairs: Pairs = {}

        def take(watch: Callable[[], object]) -> None:
            pairs.update(rounds(reference, here, seconds, clock, watch))

        for _ in range(TRIES):
            with self.run_context.alone():
                self.run_context.say(f"{TIMED}  beside the reference")
                readings = read(self.prepared.config.device, {}, 0, take)
            if not readings.disturbed:
                return pairs
        raise RemoteError(f"every window beside it was disturbed: {readings.disturbed}")


_SOUND: set[Path] = set()  # references that agreed with themselves in this process


def _judge(taken: list[Pairs]) -> list[CostComparison]:
    """The readings of rounds, those of each pair of processes apart."""
    from pytest_ftcompare.measure.timed_window import PROCESS

    here = (
        PROCESS if len(taken) == 1 else secrets.token_hex(4)
    )  # that of fresh processes is not known here
    return measured_cost.side_by_side(
        {name: [pairs[name] for pairs in taken] for name in taken[0]}, here
    )


def _not_compared(reading: CostComparison, reason: str) -> CostComparison:
    return CostComparison(
        reading.metric, reading.unit, 0.0, reading.new, 0.0, "", "incomparable", reason
    )
