"""What is inspected and counted once a run, for all cases that differ in their number of examples alone.

The probe's batch and the counted batch have a number of rows of their own, so neither depends on a
case's shots. The first case that asks leaves the results in the run's folder, for every worker.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ftcompare.checks.invariants import inspect_any_shots
from pytest_ftcompare.checks.row_encoding import check_labels
from pytest_ftcompare.measure.counted_update import count_update
from pytest_ftcompare.results import atomic_write
from pytest_ftcompare.results.result import Json
from pytest_ftcompare.training.prepare import PreparedCase


class SharedInspection:
    """What cases have in common that differ in their shots alone; `folder` is the run's."""

    def __init__(self, prepared: PreparedCase, folder: Path) -> None:
        self._prepared, self._folder = prepared, folder
        self._key = replace(prepared, case=replace(prepared.case, shots=0)).fingerprint()

    def inspected(self) -> tuple[Json, Json, list[str]]:
        """Signature, probe and broken invariants; the labels of the rows are looked at for each case."""
        signature, probe, broken = self._once("inspected", inspect_any_shots)
        return (
            signature,
            probe,
            [*broken, *(check_labels(self._prepared) if self._prepared.method.trains else ())],
        )

    def counted(self) -> Json:
        """Counts of the execution of one update."""
        counts: Json = self._once("counted", count_update)
        return counts

    def _once(self, what: str, make: Callable[[PreparedCase], Any]) -> Any:
        """What was made of a case of this key; two workers that ask at once make it twice."""
        file = self._folder / what / f"{self._key}.json"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            atomic_write.write(file, json.dumps(make(self._prepared)), lasting=False)
        return json.loads(file.read_text(encoding="utf-8"))
