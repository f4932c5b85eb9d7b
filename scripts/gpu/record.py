"""The record of a piece: which units of work were done, and what they gave.

A record is a JSON file. It belongs to one GPU and its versions, and is written whole after each
unit, so that a process that dies loses only the unit that it was in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest_ftcompare
from pytest_ftcompare.measure.library_versions import digest, package_files
from pytest_ftcompare.results import atomic_write
from scripts.gpu.card import Card

Values = dict[str, Any]
# Processes that may die in one unit before the unit counts as failed; chosen. Raising it tries
# longer with a unit that crashes.
MAX_TRIES = 2
REMEDY = "move it away, or measure again in its place with `make gpu OPTIONS=--fresh`"


@cache
def code_digest() -> str:
    """Return a digest of the package, so that units of before and after a mend are told apart."""
    return digest(package_files(Path(pytest_ftcompare.__file__).parent))


class RecordError(ValueError):
    """A record cannot be gone on with; the message is one sentence."""


class Record:
    """A piece's record; `units` has the values of each unit, or the sentence of its failure.

    A unit also has a digest of the code that it ran.
    """

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        self.path, self._data = path, data

    @classmethod
    def open(cls, path: Path, piece: str, card: Card, versions: Mapping[str, str]) -> Record:
        """Read the record, or begin one; raise `RecordError` if it belongs to something else."""
        new = {
            "piece": piece,
            "date": date.today().isoformat(),
            "card": card.as_json(),
            "versions": dict(versions),
            "complete": False,
            "tries": {},
            "units": {},
        }
        if not path.is_file():
            return cls(path, new)
        data = read(path)
        if data["card"] != new["card"]:
            raise RecordError(f"expected a record of this GPU, {path} is of another: {REMEDY}")
        if moved := [
            f"{name} {data['versions'].get(name)} -> {versions[name]}"
            for name in versions
            if data["versions"].get(name) != versions[name]
        ]:
            raise RecordError(
                f"expected a record of these versions, {path} is of others "
                f"({', '.join(moved)}): {REMEDY}"
            )
        return cls(path, data)

    def reload(self) -> None:
        """Read what another process has written."""
        if self.path.is_file():
            self._data = read(self.path)

    @property
    def units(self) -> Mapping[str, dict[str, Any]]:
        """Return the units on record: `seconds`, and `values` or `failed`."""
        return dict(self._data["units"])

    @property
    def complete(self) -> bool:
        return bool(self._data["complete"])

    def tries(self, unit: str) -> int:
        """Return how many processes died in a unit."""
        return int(self._data["tries"].get(unit, 0))

    def begin(self, unit: str) -> None:
        """Note that this process is in a unit; the note stays if the process dies."""
        self._data["tries"][unit] = self.tries(unit) + 1
        self._write()

    def cancel(self, unit: str) -> None:
        """Forget that a unit was begun."""
        self._data["tries"].pop(unit, None)
        self._write()

    def finish(self, unit: str, seconds: float, **outcome: Any) -> None:
        """Add a unit with its `values`, or with the sentence `failed`."""
        self._data["tries"].pop(unit, None)
        self._data["units"][unit] = {
            "seconds": round(seconds, 2),
            "code": code_digest(),
            **outcome,
        }
        self._data["date"] = date.today().isoformat()
        self._write()

    def settle(self, *, complete: bool) -> None:
        """Say whether all of the piece's units are on record."""
        self._data["complete"] = complete
        self._write()

    def forget_failures(self) -> None:
        """Drop the units that failed, so that they are tried again."""
        units = self._data["units"]
        self._data["units"] = {name: unit for name, unit in units.items() if "failed" not in unit}
        self.settle(complete=self.complete and len(units) == len(self._data["units"]))

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write.write(self.path, f"{json.dumps(self._data, indent=1)}\n")


def read(path: Path) -> dict[str, Any]:
    """Return the content of a record; raise `RecordError` for another file."""
    try:
        data = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        data = {}
    if not {"piece", "card", "versions", "units", "complete", "tries"} <= data.keys():
        raise RecordError(f"expected a record of `make gpu`, {path} is none: {REMEDY}")
    return data
