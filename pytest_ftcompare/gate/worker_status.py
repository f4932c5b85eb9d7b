"""The status of each worker: one file per process in the run folder.

Tests write it while they train, and the live display (plugin/live_display.py) reads it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pytest_ftcompare.results import atomic_write

# Seconds between two written steps of a process, chosen: the display draws five times a second.
# A higher value writes fewer files and shows older steps.
REPORT_INTERVAL = 0.2
TIMING_STATUS = "timing"  # while a process has its device alone and its clock runs
TOTAL_FILE = "total"  # holds the number of collected cases and claims


class WorkerStatus:
    """The status that one process writes; `name` is the worker's."""

    def __init__(
        self, folder: Path, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder, self._name, self._clock = folder, name, clock
        self._status_folder = folder / "told"
        self._file = self._status_folder / f"{name}.json"
        self._last = 0.0

    def reporter(self, case: str) -> Callable[[str], None]:
        """Return a function that writes the status of a case.

        Its text holds words separated by two spaces. Steps that follow each other within
        `REPORT_INTERVAL` are not all written.
        """

        def report(text: str) -> None:
            now = self._clock()
            if "  step " in text and now - self._last < REPORT_INTERVAL:
                return
            self._last = now
            self._write(self._file, json.dumps([case, *text.split("  ")]))

        report("loading")
        return report

    def write_total(self, count: int) -> None:
        """Write the number of cases and claims, which is the same in every worker."""
        self._write(self._status_folder / TOTAL_FILE, str(count))

    def done(self) -> None:
        remove_status(self.folder, self._name)

    def _write(self, file: Path, text: str) -> None:
        # A full disk or a removed folder must not fail a case: the status only informs.
        with suppress(OSError):
            self._status_folder.mkdir(parents=True, exist_ok=True)
            atomic_write.write(file, text, lasting=False)


def format_duration(seconds: float) -> str:
    """Format seconds as "42 s", "5 min" or "1 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def remove_status(folder: Path, name: str) -> None:
    """Remove the status of a process that ended or died."""
    with suppress(OSError):
        (folder / "told" / f"{name}.json").unlink()


def active_statuses(folder: Path) -> list[list[str]]:
    """Return the status of each process of a run: the case, then words on it."""
    statuses = []
    for file in sorted((folder / "told").glob("*.json")):
        try:
            statuses.append(json.loads(file.read_text()))
        except (OSError, ValueError):  # removed since it was listed
            continue
    return statuses


def read_total(folder: Path) -> int:
    """Return the number of collected cases and claims, 0 if no worker has written it yet."""
    try:
        return int((folder / "told" / TOTAL_FILE).read_text())
    except (OSError, ValueError):
        return 0
