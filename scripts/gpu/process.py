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
from typing import Any, Literal, TypeVar

from pytest_ftcompare.measure.gpu_failure import GpuFailure
from scripts.gpu.piece import Piece, Run, Skipped, run_units
from scripts.gpu.record import Record
from scripts.gpu.scope import KILL_SECONDS, PIECE_SECONDS, Scope, StartMethod
from scripts.gpu.table import cut

T = TypeVar("T")
Ending = Literal["ran", "skipped", "stuck"]
# Exit statuses of a piece's process.
DONE, SKIPPED, NO_GPU_LEFT = 0, 3, 4
# Seconds in which a process must end itself once it is told to; chosen. Raising it waits longer
# for a driver that hangs.
END_SECONDS = 20.0


def call_apart(function: Callable[[], T], start_method: StartMethod = "spawn") -> T:
    """Return what a function returns in a process of its own."""
    context = multiprocessing.get_context(start_method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function).result()


def run_apart(piece: Piece, scope: Scope, record: Record) -> Ending:
    """Run a piece until its units are on record or its time is up.

    If a process dies, or cannot use its GPU any more, another goes on. "stuck" means that one died
    before it recorded anything.
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
            process.terminate()
            _end(process)
            print(f"  ended after {KILL_SECONDS / 60:.0f} minutes, within a unit", flush=True)
            return "ran"
        if process.exitcode in (DONE, SKIPPED):
            return "ran" if process.exitcode == DONE else "skipped"
        if _content(record) == before:
            return "stuck"
        record.reload()
        if time.monotonic() > deadline:
            return "ran"
        print(f"  its process ended ({_reason(process.exitcode)}): another goes on", flush=True)


def _end(process: Any) -> None:
    """Wait until a process has ended that was told to; kill it if it does not."""
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
    # Then what a unit started is ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        run_units(piece, run)
    except Skipped as reason:
        print(cut(f"  skipped: {reason}"), flush=True)
        sys.exit(SKIPPED)
    except GpuFailure:
        sys.exit(NO_GPU_LEFT)
    except KeyboardInterrupt:
        sys.exit(1)
