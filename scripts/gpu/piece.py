"""A piece of `make gpu`: its units of work, and how they are run and recorded."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ftcompare.gate import project_config
from pytest_ftcompare.measure.gpu_failure import GpuFailure, explain_gpu_failure
from pytest_ftcompare.measure.last_status import LastStatus
from pytest_ftcompare.measure.out_of_memory import free_memory
from pytest_ftcompare.training.library_logging import quiet
from scripts.gpu.record import MAX_TRIES, Record, Values
from scripts.gpu.scope import Scope
from scripts.gpu.table import Table, cut

Work = Callable[[], Values]


class OutOfTime(Exception):
    """A unit cannot end in time; the next call of `make gpu` goes on with it."""


class Skipped(Exception):
    """A piece cannot be measured here; the message says why in one sentence."""


@dataclass(frozen=True)
class Run:
    """What a piece measures, what is on record, and when by `time.monotonic` its time is up."""

    scope: Scope
    record: Record
    deadline: float

    def values(self, unit: str) -> Values:
        """Return the values of an earlier unit; one that failed raises `RuntimeError`."""
        done = self.record.units.get(unit, {})
        if "values" not in done:
            raise RuntimeError(f"expected the values of {unit!r}, it failed")
        return dict(done["values"])


@dataclass(frozen=True)
class Piece:
    """A piece: its name, its purpose, its units of work by name, and the tables of its record.

    `units` may raise `Skipped`, and must not start CUDA. `tables` takes the values of the units
    that did not fail.
    """

    name: str
    purpose: str
    units: Callable[[Run], Mapping[str, Work]]
    tables: Callable[[Mapping[str, Values]], Sequence[Table]]


def failure_sentence(error: BaseException) -> str:
    """Return the first line of an error's message, and its type."""
    first_line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__


def run_units(piece: Piece, run: Run) -> None:
    """Run the units that are not on record, until the piece's time is up.

    A unit that fails is recorded and gone on from. If the GPU fails for good in this process,
    `GpuFailure` is raised after that, and another process must go on.
    """
    quiet()
    warnings.simplefilter("ignore")
    # Without its fresh process, a unit would measure something else.
    warnings.filterwarnings("error", message=".*was not timed in a fresh process")
    project_config.read(run.scope.root).register()
    record = run.record
    units = piece.units(run)
    for number, (name, work) in enumerate(units.items(), 1):
        if name in record.units:
            continue
        if time.monotonic() > run.deadline:
            return
        if record.tries(name) == MAX_TRIES:
            record.finish(name, 0.0, failed=f"its process died {MAX_TRIES} times")
        else:
            _run_unit(name, work, run)
        if (done := record.units.get(name)) is None:
            return
        line = f"  {number}/{len(units)} {done['seconds']:.1f} s  {name}"
        print(cut(f"{line}: {done['failed']}" if "failed" in done else line), flush=True)
    record.settle(complete=True)


def _run_unit(name: str, work: Work, run: Run) -> None:
    """Run a unit and record it, unless it ran out of time."""
    start, status = time.monotonic(), LastStatus(lambda _: None)
    status(name)
    run.record.begin(name)
    outcome: dict[str, Any]
    try:
        with explain_gpu_failure(run.scope.device, status):
            outcome = {"values": work()}
    except OutOfTime:
        run.record.cancel(name)
        return
    except GpuFailure as error:
        run.record.finish(name, time.monotonic() - start, failed=failure_sentence(error))
        raise
    except Exception as error:
        outcome = {"failed": failure_sentence(error)}
    except KeyboardInterrupt:
        run.record.cancel(name)
        raise
    run.record.finish(name, time.monotonic() - start, **outcome)
    free_memory()
