"""Sample a process's GPU memory, as the driver reports it, in a thread while work runs.

`gpu_readings.py` uses it. The sampler misses a spike between two samples; the allocator's own peak
does not.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from pytest_ftcompare.measure.nvml import Gpu

# Seconds to wait at the end for a driver that does not answer; chosen. Raising it makes a session
# with a hanging driver wait longer.
JOIN_TIMEOUT = 2.0


class GpuMemorySampler:
    """A context manager that reads a process's bytes on entry, every `interval` s and on exit.

    `peak` is the most bytes read, None without a sample. `samples` counts the samples. `failed`
    states why sampling failed or stopped.
    """

    def __init__(self, gpu: Gpu, pid: int, interval: float = 0.01) -> None:
        self.peak: int | None = None
        self.samples = 0
        self.failed = ""
        self._gpu, self._pid, self._interval = gpu, pid, interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpu memory sampler", daemon=True)

    def __enter__(self) -> Self:
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(JOIN_TIMEOUT)
        if self._thread.is_alive():
            self.failed = "the driver does not answer"
            return
        self._sample()
        if not self.samples and not self.failed:
            self.failed = "the driver does not report this process's memory"

    def _run(self) -> None:
        while not self.failed and not self._stop.wait(self._interval):
            self._sample()

    def _sample(self) -> None:
        used = self._gpu.used_by(self._pid)
        if used is not None:
            self.peak = max(used, self.peak or 0)
            self.samples += 1
        elif self._gpu.lost:
            self.failed = "the GPU is lost"
