"""Note in the run folder in which case a process lost its GPU.

`torch_case.py` notes it and refuses the process's later cases. The plugin replaces such a worker
(plugin/worker_replacement.py), and keeps the run's results for `--ftcompare-resume`.
"""

from __future__ import annotations

import os
from pathlib import Path

from pytest_ftcompare.results import atomic_write

FAILURES = "gpu-failures"  # folder in the run folder


class GpuFailures:
    """The failures of a run; `folder` is the run folder, which its workers share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FAILURES

    def add(self, subject: str) -> None:
        """Note that this process lost its GPU in a case or claim."""
        self._folder.mkdir(parents=True, exist_ok=True)
        atomic_write.write(self._folder / f"{os.getpid()}.process", subject)

    def of_this_process(self) -> str:
        """Return the case or claim in which this process lost its GPU, "" if it has not."""
        file = self._folder / f"{os.getpid()}.process"
        return file.read_text() if file.is_file() else ""

    def of_any_process(self) -> str:
        """Return the case or claim of one failure, "" without a failure."""
        return next((file.read_text() for file in self._folder.glob("*.process")), "")

    def leave(self, worker: str) -> None:
        """Note that an xdist worker ends because of a failure."""
        (self._folder / f"{worker}.left").touch()

    def has_left(self, worker: str) -> bool:
        """Return whether the worker ended because of a failure."""
        return (self._folder / f"{worker}.left").is_file()

    @property
    def left_count(self) -> int:
        """The number of workers that ended because of a failure."""
        return sum(1 for _ in self._folder.glob("*.left"))
