"""How fast the machine is in a run, by the yardsticks that are timed beside no piece of work.

Measured when a case first asks. A machine that does not seem to be a baseline's is measured again a
minute later: it may have been slow for a while.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftcompare.gate.worker_status import TIMED
from pytest_ftcompare.results import atomic_write

if TYPE_CHECKING:
    from pytest_ftcompare.gate.run_context import RunContext

SPEEDS = "speeds.json"  # in the run's folder
AGAIN = 60.0  # seconds after which a machine that seems to be another is measured again
Taken = list[tuple[float, dict[str, float]]]


@dataclass(frozen=True)
class MachineSpeed:
    """The measurements of a run, in its folder, for all workers: moments, and seconds by yardstick."""

    run_context: RunContext
    now: Callable[[], float] = time.time

    def elsewhere(self, compare: Callable[[dict[str, float]], str]) -> str:
        """Why the machine is not a baseline's, as `compare` says of each measurement; "" where any of
        them agrees, or none could be taken."""
        taken = self._read()
        reasons = [compare(speeds) for _, speeds in taken]
        if all(reasons) and self._is_old(taken):
            reasons = [compare(speeds) for _, speeds in self._measured()]
        return reasons[-1] if reasons and all(reasons) else ""

    def _is_old(self, taken: Taken) -> bool:
        return not taken or not 0 <= self.now() - taken[-1][0] < AGAIN

    def _read(self) -> Taken:
        return (
            [(at, speeds) for at, speeds in json.loads(self._file.read_text())]
            if self._file.is_file()
            else []
        )

    @property
    def _file(self) -> Path:
        return self.run_context.folder / SPEEDS

    def _measured(self) -> Taken:
        """All measurements, with a new one unless another worker took it meanwhile; none where it was
        disturbed."""
        from pytest_ftcompare.measure.cpu_contention import cpu_accounting, disturbed
        from pytest_ftcompare.measure.timed_window import measure_machine

        assert self.run_context.clock is not None
        self.run_context.say("waiting to be alone on the device")
        with self.run_context.alone():
            if self._is_old(taken := self._read()):
                self.run_context.say(f"{TIMED}  the machine")
                before = cpu_accounting()
                speeds = measure_machine("cpu", self.run_context.clock)
                if disturbed(before, cpu_accounting()):
                    return []
                taken.append((self.now(), speeds))
                atomic_write.write(self._file, json.dumps(taken), lasting=False)
        return taken
