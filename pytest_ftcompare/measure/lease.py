"""A device shared by workers: those that work on it pause while one of them is timed alone.

A readers-writer lock in the run's folder: work shares it, a timed window has it alone. Who wants to be alone closes a gate
before it waits, so that work which pauses between two steps cannot go on ahead of it. Both locks are the operating system's:
a worker that dies frees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, ReadWriteLock

POLL = 0.02  # seconds between two looks at a lock that another worker holds: looking costs its core time


def shared_with(device: str, environ: Mapping[str, str]) -> str:
    """A name that is the same for workers on the same device ("cpu" or "cuda"): of a GPU by what the worker sees of them."""
    seen = environ.get("CUDA_VISIBLE_DEVICES", "all")
    return "cpu" if device == "cpu" else re.sub(r"[^\w-]+", "-", f"gpu-{seen}")


class Lease:
    """One worker's hold on a device; `folder` is the run's, the same for all its workers."""

    def __init__(self, folder: Path, device: str) -> None:
        self._lock = ReadWriteLock(folder / f"{device}.lease", is_singleton=False)
        self._gate = FileLock(folder / f"{device}.gate")
        self._wanted = folder / f"{device}.wanted"

    def close(self) -> None:
        """Let go of the files in the run's folder."""
        self._lock.close()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Work on the device beside others."""
        self._enter()
        try:
            yield
        finally:
            self._lock.release(force=True)  # where waiting for it was interrupted, it is not held

    def _enter(self) -> None:
        if self._wanted.exists():
            with self._gate.acquire(
                poll_interval=POLL
            ):  # free again when the window before this one is over
                self._wanted.unlink(missing_ok=True)  # left by a worker that died
        self._lock.acquire_read()

    def pause(self) -> None:
        """Between two steps of work: let whoever wants the device alone have it. Costs two microseconds otherwise."""
        if self._wanted.exists():
            self._lock.release()
            self._enter()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Amid work on the device: wait until all others pause, have it alone, go on with work."""
        self._lock.release()
        try:
            with self._gate.acquire(poll_interval=POLL):
                self._wanted.touch()
                try:
                    with self._lock.write_lock():
                        yield
                finally:
                    self._wanted.unlink(missing_ok=True)
        finally:
            self._enter()
