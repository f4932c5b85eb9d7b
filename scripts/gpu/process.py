"""Run a piece in a process of its own, which may die.

On a GPU, each process starts afresh: libraries may ask for CUDA when they are imported, and then a
fork cannot use it. A rehearsal forks, which saves the imports.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from pytest_ftcompare.measure.gpu_failure import GpuFailure
from scripts.gpu.piece import Piece, Run, run_units
from scripts.gpu.record import Record
from scripts.gpu.scope import KILL_SECONDS, PIECE_SECONDS, Scope, StartMethod

T = TypeVar("T")
# Exit status of a process whose GPU failed.
NO_GPU_LEFT = 3
# Seconds in which a process must end itself once it is told to; chosen. Raising it waits longer
# for a driver that hangs.
END_SECONDS = 20.0


def call_apart(function: Callable[[], T], start_method: StartMethod = "spawn") -> T:
    """Return what a function returns in a process of its own."""
    context = multiprocessing.get_context(start_method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function).result()


def run_apart(piece: Piece, scope: Scope, record: Record) -> bool:
    """Run a piece until its units are on record or its time is up.

    If a process dies, or cannot use its GPU any more, another goes on. Return whether the piece is
    stuck: a process died before it recorded anything.
    """
    context: Any = multiprocessing.get_context(scope.start_method)
    start = time.monotonic()
    deadline, kill_at = start + PIECE_SECONDS, start + KILL_SECONDS
    while True:
        before = _content(record)
        process = context.Process(target=_work, args=(piece, Run(scope, record, deadline)))
        process.start()
        try:
            process.join(kill_at - time.monotonic())
        except KeyboardInterrupt:
            _end(process)
            raise
        if process.is_alive():
            _end(process)
            print(f"  ended after {KILL_SECONDS / 60:.0f} minutes, within a unit", flush=True)
            return False
        if process.exitcode and _content(record) == before:
            return True
        record.reload()
        if not process.exitcode or time.monotonic() > deadline:
            return False
        print(f"  its process ended ({_reason(process.exitcode)}): another goes on", flush=True)


def _end(process: Any) -> None:
    """Tell a process to end, and kill it if it does not."""
    process.terminate()
    process.join(END_SECONDS)
    process.kill()
    process.join()


def _content(record: Record) -> str:
    return record.path.read_text(encoding="utf-8") if record.path.is_file() else ""


def _reason(status: int | None) -> str:
    if status is not None and status < 0:
        return signal.Signals(-status).name
    return "the GPU failed" if status == NO_GPU_LEFT else f"status {status}"


def _work(piece: Piece, run: Run) -> None:
    """Run the units in this process, which ends with a status that says how."""
    # This also ends what a unit has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        run_units(piece, run)
    except GpuFailure:
        sys.exit(NO_GPU_LEFT)
    except KeyboardInterrupt:
        sys.exit(1)
