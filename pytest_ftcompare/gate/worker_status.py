"""What the tests of a run tell while they train: each process in a file of its own, in the run's folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pytest_ftcompare.results import atomic_write

EVERY = 0.2  # seconds between two reports of one process
TIMED = "timing"  # told while a process has its device alone and its clock runs
TOTAL = "total"  # the file with the number of cases and claims that were collected


class WorkerStatus:
    """One process's side; `name` is the worker's."""

    def __init__(
        self, folder: Path, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder, self._name, self._clock = folder, name, clock
        self._told = folder / "told"
        self._file = self._told / f"{name}.json"
        self._last = 0.0

    def about(self, case: str) -> Callable[[str], None]:
        """A function that tells how far the case is, from time to time; words are two spaces apart."""

        def say(text: str) -> None:
            now = self._clock()
            if (
                "  step " in text and now - self._last < EVERY
            ):  # they follow each other fast: not each is written
                return
            self._last = now
            self._write(self._file, json.dumps([case, *text.split("  ")]))

        say("loading")
        return say

    def total(self, count: int) -> None:
        """How many cases and claims there are; every worker collects the same."""
        self._write(self._told / TOTAL, str(count))

    def done(self) -> None:
        forget(self.folder, self._name)

    def _write(self, file: Path, text: str) -> None:
        with suppress(
            OSError
        ):  # a full disk, a folder that someone removed: what is only told must not fail a case
            self._told.mkdir(parents=True, exist_ok=True)
            atomic_write.write(file, text, lasting=False)


def duration(seconds: float) -> str:
    """ "42 s", "5 min", "1 h 20 min": as long as a reader wants to know it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def forget(folder: Path, name: str) -> None:
    """The process of this name is at nothing any more: it has ended, or died."""
    with suppress(OSError):
        (folder / "told" / f"{name}.json").unlink()


def at_work(folder: Path) -> list[list[str]]:
    """What the processes of a run are at, each as the case and words on it."""
    found = []
    for file in sorted((folder / "told").glob("*.json")):
        try:
            found.append(json.loads(file.read_text()))
        except (OSError, ValueError):  # just gone
            continue
    return found


def total(folder: Path) -> int:
    """How many cases and claims were collected, 0 where nobody has told yet."""
    try:
        return int((folder / "told" / TOTAL).read_text())
    except (OSError, ValueError):
        return 0
