"""A process's GPU memory as the driver sees it, sampled by a thread while work runs.

A spike between two samples is missed: the allocator's own peak, which misses none, stands beside it.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from pytest_ftcompare.measure.nvml import Gpu

PATIENCE = 2.0  # seconds to wait at the end for a driver that does not answer


class GpuMemorySampler:
    """Within its `with`, the process's bytes every `every` seconds, at its start and at its end.

    `peak` is the highest in bytes, None without any; `samples` how many were read; `failed` says why none or no more could be.
    """

    def __init__(self, gpu: Gpu, pid: int, every: float = 0.01) -> None:
        self.peak: int | None = None
        self.samples = 0
        self.failed = ""
        self._gpu, self._pid, self._every = gpu, pid, every
        self._over = threading.Event()
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
        self._over.set()
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self.failed = "the driver does not answer"
            return
        self._sample()
        if not self.samples and not self.failed:
            self.failed = "the driver does not tell this process's memory"

    def _run(self) -> None:
        while not self.failed and not self._over.wait(self._every):
            self._sample()

    def _sample(self) -> None:
        used = self._gpu.used_by(self._pid)
        if used is not None:
            self.peak = max(used, self.peak or 0)
            self.samples += 1
        elif self._gpu.lost:
            self.failed = "the GPU is lost"
