"""From an arm of a claim to its cases: those of its suite's own table, under this run's profile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from itertools import groupby
from pathlib import Path

import pytest

from pytest_ftcompare.compare.claims.relations import Arm, Untestable
from pytest_ftcompare.gate.case_work import CaseError
from pytest_ftcompare.gate.profiles import Profile
from pytest_ftcompare.plugin import parametrize
from pytest_ftcompare.results.case import Case


class SuiteTables:
    """The tables of the suites in a folder."""

    def __init__(self, folder: Path, profile: Profile) -> None:
        self.folder, self.profile = folder, profile
        self._cases: dict[str, list[Case]] = {}

    def cases(self, suite: str) -> list[Case]:
        """All cases of a suite, in the order of its tests and tables; of no file, none. A wrong table is a `CaseError`."""
        if suite not in self._cases:
            tables = _marks(self.folder / f"test_{suite}.py")
            try:
                found = [
                    parametrize.of_marks(marks, suite, self.profile, f"test_{suite}.py")
                    for marks in tables
                ]
            except pytest.Collector.CollectError as error:
                raise CaseError(f"the suite {suite} has a table that cannot be: {error}") from None
            self._cases[suite] = [case for cases in found for case in cases]
        return self._cases[suite]

    def of(self, arm: Arm) -> list[Case]:
        """The arm's cells, by task, model and shots; `Untestable` where the profile has none of them."""
        tasks = [self.profile.tasks.get(one, one) for one in arm.tasks]
        models = [self.profile.bases.get(one, one) for one in arm.models]
        found = [
            one
            for one in self.cases(arm.suite)
            if one.method == arm.method
            and (not tasks or one.task in tasks)
            and (not models or one.model in models)
            and arm.options.items() <= dict(one.options).items()
        ]
        wanted = self._shots(arm, {one.shots for one in found})
        cells = [
            replace(min(cell, key=lambda one: len(one.options)), timed=False)
            for _, group in groupby(sorted(found, key=_cell), key=_cell)
            if (cell := list(group))[0].shots in wanted
        ]
        if not cells:
            raise Untestable(
                f"the profile {self.profile.name} has no case of {arm.describe()} in the suite {arm.suite}"
            )
        return cells

    def _shots(self, arm: Arm, present: set[int]) -> set[int]:
        if isinstance(arm.shots, int):
            return {arm.shots}
        if arm.shots in ("least", "most"):
            return {(min if arm.shots == "least" else max)(present, default=0)}
        return set(self.profile.shots.get(arm.shots, ())) if arm.shots else present


def _cell(case: Case) -> tuple[str, str, int]:
    return case.task, case.model, case.shots


@cache
def _marks(file: Path) -> list[list[pytest.Mark]]:
    """The tables of each test in a suite's file, which is read without collecting it."""
    spec = spec_from_file_location(f"ftcompare_table_{file.stem}", file)
    if not file.is_file() or spec is None or spec.loader is None:
        return []
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [one for name, one in vars(module).items() if name.startswith("test")]
    return [found for one in tests if (found := list(_tables(getattr(one, "pytestmark", ()))))]


def _tables(marks: Iterable[pytest.Mark]) -> Iterable[pytest.Mark]:
    return (one for one in marks if one.name == "ftcompare")
