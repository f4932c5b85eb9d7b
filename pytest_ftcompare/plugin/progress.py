"""How far the suites of a run are, in numbers and words."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pytest_ftcompare.gate.worker_status import format_duration, read_total


class Progress:
    """How far the suites are: cases and claims that ended, those that failed, and about how long the rest takes."""

    def __init__(
        self, folder: Path, workers: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder, self.workers = folder, workers
        self._clock, self._began = clock, clock()
        self._ended = self._failed = 0
        self._seconds = 0.0

    def add(self, seconds: float, *, failed: bool) -> None:
        """A case or a claim has ended, after so many seconds."""
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
        spent = format_duration(self._clock() - self._began)
        left = ""
        if (
            self._ended and self.total > self._ended
        ):  # they take as long as those before, on average
            each = self._seconds / self._ended / self.workers
            left = f", about {format_duration(each * (self.total - self._ended))} left"
        return f"{self._ended} of {self.total} done{failed}; {spent}{left}"
