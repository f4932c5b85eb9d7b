"""The progress of a run's suites, for the live display."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pytest_ftcompare.gate.worker_status import format_duration, read_total


class Progress:
    """Counts of ended and failed cases and claims, with an estimate of the time left."""

    def __init__(
        self, folder: Path, workers: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder, self.workers = folder, workers
        self._clock, self._started = clock, clock()
        self._ended = self._failed = 0
        self._seconds = 0.0

    def add(self, seconds: float, *, failed: bool) -> None:
        """Count a case or claim that ended after `seconds`."""
        self._ended += 1
        self._failed += failed
        self._seconds += seconds

    @property
    def total(self) -> int:
        return max(read_total(self.folder), self._ended)

    @property
    def share(self) -> float:
        return self._ended / self.total if self.total else 0.0

    def __str__(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        elapsed = format_duration(self._clock() - self._started)
        left = ""
        # The rest is taken to need as long as the ended ones, on average.
        if self._ended and self.total > self._ended:
            average = self._seconds / self._ended / self.workers
            left = f", about {format_duration(average * (self.total - self._ended))} left"
        return f"{self._ended} of {self.total} done{failed}; {elapsed}{left}"
