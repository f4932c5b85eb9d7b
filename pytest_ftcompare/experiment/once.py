"""What is inspected and counted once a run: cases that differ in their number of examples alone have it in common.

The probe's batch and the counted batch have a number of rows of their own, so nothing of either depends on a case's shots.
The first case that asks leaves what it found in the run's folder, for every worker.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ftcompare import atomic
from pytest_ftcompare.experiment.invariants import inspect
from pytest_ftcompare.experiment.prepare import Prepared
from pytest_ftcompare.experiment.rows import as_labelled
from pytest_ftcompare.measure.execution import execution
from pytest_ftcompare.result import Json


def inspected(prepared: Prepared, folder: Path) -> tuple[Json, Json, list[str]]:
    """Signature, probe and broken invariants; whether rows are learned with their own labels is looked at for each case."""
    signature, probe, broken = _once("inspected", prepared, folder, lambda: inspect(prepared))
    labels = as_labelled(prepared) if prepared.method.trains else ()
    return signature, probe, [*broken, *(sentence for sentence in labels if sentence not in broken)]


def counted(prepared: Prepared, folder: Path) -> Json:
    """Counts of the execution of one update."""
    counts: Json = _once("counted", prepared, folder, lambda: execution(prepared))
    return counts


def _once(what: str, prepared: Prepared, folder: Path, make: Callable[[], Any]) -> Any:
    """What was made of a case that differs in its shots alone; two workers that ask at once make it twice."""
    alike = replace(prepared, case=replace(prepared.case, shots=0))
    file = folder / what / f"{alike.fingerprint()}.json"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(file, json.dumps(make()), lasting=False)
    return json.loads(file.read_text(encoding="utf-8"))
