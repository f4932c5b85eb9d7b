"""Measure the machine's speed in a run, by the yardsticks `memory` and `interpreter`.

`timing.why_untimed` calls it. The first case measures. If the machine does not match a baseline's,
a case that follows a minute later measures again: the machine may have been slow for a while.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftcompare.gate.worker_status import TIMING_STATUS
from pytest_ftcompare.results import atomic_write

if TYPE_CHECKING:
    from pytest_ftcompare.gate.run_context import RunContext

SPEEDS_FILE = "speeds.json"  # in the run folder
# Seconds after which a machine that does not match a baseline's is measured again, chosen: a
# machine of two cores changed its speed within a minute (docs/cost.md). A higher value measures
# less often, and keeps a slow minute for longer.
REMEASURE_AFTER = 60.0
# The time of each measurement, and seconds by yardstick.
Measurements = list[tuple[float, dict[str, float]]]


@dataclass(frozen=True)
class MachineSpeed:
    """The measurements of a run, which all workers share in its folder."""

    run_context: RunContext
    now: Callable[[], float] = time.time

    def machine_difference(self, compare: Callable[[dict[str, float]], str]) -> str:
        """Return why the machine is not a baseline's, "" if it is or could not be measured.

        `compare` takes the seconds of a measurement by yardstick, and returns why they differ from
        the baseline's, or "". One measurement that agrees is enough.
        """
        measurements = self._read()
        reasons = [compare(speeds) for _, speeds in measurements]
        if all(reasons) and self._is_old(measurements):
            reasons = [compare(speeds) for _, speeds in self._measure()]
        return reasons[-1] if reasons and all(reasons) else ""

    def _is_old(self, measurements: Measurements) -> bool:
        return not measurements or not 0 <= self.now() - measurements[-1][0] < REMEASURE_AFTER

    def _read(self) -> Measurements:
        return (
            [(time_taken, speeds) for time_taken, speeds in json.loads(self._file.read_text())]
            if self._file.is_file()
            else []
        )

    @property
    def _file(self) -> Path:
        return self.run_context.folder / SPEEDS_FILE

    def _measure(self) -> Measurements:
        """Measure, and return all measurements; none if the new one was disturbed.

        If another worker measured in the meantime, its measurement is used.
        """
        from pytest_ftcompare.measure.cpu_contention import cpu_accounting, disturbed
        from pytest_ftcompare.measure.timed_window import measure_machine_speed

        assert self.run_context.clock is not None
        self.run_context.report_status("waiting to be alone on the device")
        with self.run_context.exclusive():
            if self._is_old(measurements := self._read()):
                self.run_context.report_status(f"{TIMING_STATUS}  the machine")
                before = cpu_accounting()
                speeds = measure_machine_speed("cpu", self.run_context.clock)
                if disturbed(before, cpu_accounting()):
                    return []
                measurements.append((self.now(), speeds))
                atomic_write.write(self._file, json.dumps(measurements), lasting=False)
        return measurements
