"""Find the cases of a claim's arm: those of its suite's tables, under this run's profile.

Called by `claim_fixture.py`.
"""

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
        """Return all cases of a suite, in the order of its tests; none if it has no file.

        Raise `CaseError` for a wrong table.
        """
        if suite not in self._cases:
            tables = _marks(self.folder / f"test_{suite}.py")
            try:
                cases_of_tests = [
                    parametrize.cases_of_marks(marks, suite, self.profile, f"test_{suite}.py")
                    for marks in tables
                ]
            except pytest.Collector.CollectError as error:
                raise CaseError(f"the suite {suite} has a wrong table: {error}") from None
            self._cases[suite] = [case for cases in cases_of_tests for case in cases]
        return self._cases[suite]

    def of(self, arm: Arm) -> list[Case]:
        """Return the arm's cases, one for each task, model and shots.

        Raise `Untestable` if the profile has none.
        """
        tasks = [self.profile.tasks.get(task, task) for task in arm.tasks]
        models = [self.profile.bases.get(model, model) for model in arm.models]
        matching = [
            case
            for case in self.cases(arm.suite)
            if case.method == arm.method
            and (not tasks or case.task in tasks)
            and (not models or case.model in models)
            and arm.options.items() <= dict(case.options).items()
        ]
        wanted = self._shots(arm, {case.shots for case in matching})
        cases = [
            replace(min(cell, key=lambda case: len(case.options)), timed=False)
            for _, group in groupby(sorted(matching, key=_cell), key=_cell)
            if (cell := list(group))[0].shots in wanted
        ]
        if not cases:
            raise Untestable(
                f"the profile {self.profile.name} has no case of {arm.describe()} "
                f"in the suite {arm.suite}"
            )
        return cases

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
    """Return the tables of each test in a suite's file; import the file without collecting it."""
    spec = spec_from_file_location(f"ftcompare_table_{file.stem}", file)
    if not file.is_file() or spec is None or spec.loader is None:
        return []
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [test for name, test in vars(module).items() if name.startswith("test")]
    return [tables for test in tests if (tables := list(_tables(getattr(test, "pytestmark", ()))))]


def _tables(marks: Iterable[pytest.Mark]) -> Iterable[pytest.Mark]:
    return (mark for mark in marks if mark.name == "ftcompare")
