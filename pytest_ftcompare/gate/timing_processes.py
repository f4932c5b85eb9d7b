"""Keep processes that time, for several cases, as starting one imports the libraries again.

`reference_timing.py` takes its first rounds with it. Fresh processes confirm what these show.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pytest_ftcompare.gate.remote import RemoteProcess

# Cases that a process times, at most. Chosen: a process may be slow by itself, so that a session's
# cases need several. Raising it starts fewer processes, whose effects count for more cases.
MAX_CASES = 8


@dataclass
class TimingProcesses:
    """The processes of this worker, by interpreter, with the number of cases that each had.

    None stands for this environment.
    """

    start: Callable[[Path | None], RemoteProcess] = RemoteProcess
    _kept: dict[Path | None, tuple[RemoteProcess, int]] = field(default_factory=dict)

    @contextmanager
    def process_of(self, python: Path | None, *, keep: bool) -> Iterator[RemoteProcess]:
        """Yield a process of `python` for one case.

        With `keep`, the next case gets the same one; not after an error. A process keeps its
        model, so on a GPU it must not be kept.
        """
        process, cases = self._kept.pop(python, (None, 0))
        process = process or self.start(python)
        try:
            yield process
        except BaseException:
            process.close()
            raise
        if keep and cases + 1 < MAX_CASES:
            self._kept[python] = process, cases + 1
        else:
            process.close()

    def close(self) -> None:
        """End all processes."""
        while self._kept:
            self._kept.popitem()[1][0].close()


TIMING_PROCESSES = TimingProcesses()
atexit.register(TIMING_PROCESSES.close)
