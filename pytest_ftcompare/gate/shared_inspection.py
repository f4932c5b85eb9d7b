"""Inspect and count once per run for all cases that differ only in their number of examples.

The batches of the probe and of the counted update have fixed numbers of rows, so neither depends on
a case's shots. The first case stores the results in the run folder, and every worker reads them.
`TorchCase` calls it.
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
    """Inspection and counts that a case shares with cases of other shots.

    `folder` is the run folder.
    """

    def __init__(self, prepared: PreparedCase, folder: Path) -> None:
        self._prepared, self._folder = prepared, folder
        self._key = replace(prepared, case=replace(prepared.case, shots=0)).fingerprint()

    def inspect(self) -> tuple[Json, Json, list[str]]:
        """Return signature, probe and broken invariants.

        The labels of the rows are checked for each case.
        """
        signature, probe, broken_invariants = self._cached("inspected", inspect_any_shots)
        return (
            signature,
            probe,
            [
                *broken_invariants,
                *(check_labels(self._prepared) if self._prepared.method.trains else ()),
            ],
        )

    def count(self) -> Json:
        """Return the counts of one update."""
        counts: Json = self._cached("counted", count_update)
        return counts

    def _cached(self, kind: str, compute: Callable[[PreparedCase], Any]) -> Any:
        """Return the stored value, or compute and store it.

        Two workers that call this at the same time both compute it.
        """
        file = self._folder / kind / f"{self._key}.json"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            atomic_write.write(file, json.dumps(compute(self._prepared)), lasting=False)
        return json.loads(file.read_text(encoding="utf-8"))
