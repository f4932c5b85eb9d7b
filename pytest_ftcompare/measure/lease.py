"""Let workers share a device, and pause all others while one takes a timed window.

`RunContext` in the gate holds the lease. It is a readers-writer lock in the run folder: training
shares it, a timed window holds it exclusively. A worker that wants it exclusively first takes a
second lock, the gate, so that workers that pause between two updates cannot overtake it. The
operating system owns both locks and frees them if a worker dies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, ReadWriteLock

# Seconds between two checks of another worker's lock; chosen. Raising it lengthens waits;
# lowering it takes more CPU time from the worker that is timed.
POLL_SECONDS = 0.02


def lease_name(device: str, environ: Mapping[str, str]) -> str:
    """Return a name that all workers on the same device share; `device` is "cpu" or "cuda".

    A GPU's name comes from CUDA_VISIBLE_DEVICES.
    """
    visible = environ.get("CUDA_VISIBLE_DEVICES", "all")
    return "cpu" if device == "cpu" else re.sub(r"[^\w-]+", "-", f"gpu-{visible}")


class Lease:
    """One worker's hold on a device; `folder` is the run folder, which all workers share."""

    def __init__(self, folder: Path, device: str) -> None:
        self._lock = ReadWriteLock(folder / f"{device}.lease", is_singleton=False)
        self._gate = FileLock(folder / f"{device}.gate")
        self._wanted = folder / f"{device}.wanted"

    def close(self) -> None:
        """Close the lock files."""
        self._lock.close()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Use the device beside other workers, for the duration of the `with` block."""
        self._acquire_shared()
        try:
            yield
        finally:
            # An interrupted wait leaves the lock not held: `force` accepts that.
            self._lock.release(force=True)

    def _acquire_shared(self) -> None:
        if self._wanted.exists():
            # The gate is free when the other worker's window is over.
            with self._gate.acquire(poll_interval=POLL_SECONDS):
                # Only a worker that died leaves the file.
                self._wanted.unlink(missing_ok=True)
        self._lock.acquire_read()

    def pause(self) -> None:
        """Between two updates, let a waiting worker time alone; takes 2 µs if none waits."""
        if self._wanted.exists():
            self._lock.release()
            self._acquire_shared()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Within `shared`: wait until all others pause, hold the device alone, share it again."""
        self._lock.release()
        try:
            with self._gate.acquire(poll_interval=POLL_SECONDS):
                self._wanted.touch()
                try:
                    with self._lock.write_lock():
                        yield
                finally:
                    self._wanted.unlink(missing_ok=True)
        finally:
            self._acquire_shared()
