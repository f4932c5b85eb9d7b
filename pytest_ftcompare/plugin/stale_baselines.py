"""Find stale baselines: files of a suite whose tables have no such case in any profile.

A suite's tables are known where it is collected: under xdist, in a worker. The controller decides,
and only if all cases of the suite ran. A baseline that may belong elsewhere is never stale. Three
examples: its model is not the suite's here, a file of the same name was not collected, or it
cannot be read. `plugin/__init__.py` and `controller.py` call this module.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from pytest_ftcompare.gate.profiles import Profile
from pytest_ftcompare.plugin import parametrize
from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.case import Case


@dataclass
class SuiteFiles:
    """What one suite's tables name.

    `files` are its test files, `cases` ids of this run's profile, `models` this run's models.
    `complete` is false if the cases of some profile are unknown: its table is wrong.
    """

    files: list[str] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    cases_of_all_profiles: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    complete: bool = True

    def merge(self, other: SuiteFiles) -> None:
        """Add what another file, test or worker knows of the suite."""
        for name in ("files", "cases", "cases_of_all_profiles", "models"):
            setattr(self, name, sorted({*getattr(self, name), *getattr(other, name)}))
        self.complete &= other.complete


Suites = dict[str, SuiteFiles]
SUITES = pytest.StashKey[Suites]()


def record_suite(
    suites: Suites, metafunc: pytest.Metafunc, cases: Sequence[Case], profiles: Iterable[Profile]
) -> None:
    """Add a test's table to `suites` when pytest collects it.

    `cases` are those of this run's profile, which is among `profiles`.
    """
    if not cases:
        return
    complete, ids = True, {case.id for case in cases}
    for profile in profiles:
        try:
            ids |= {case.id for case in parametrize.cases(metafunc, profile)}
        except pytest.Collector.CollectError:
            # The table does not fit that profile.
            complete = False
    file = str(metafunc.definition.path)
    suite_files = SuiteFiles(
        [file], [case.id for case in cases], sorted(ids), [case.model for case in cases], complete
    )
    suites.setdefault(cases[0].suite, SuiteFiles()).merge(suite_files)


def to_plain(suites: Suites) -> dict[str, Any]:
    """Return the suites as plain data, which a worker sends to the controller."""
    return {name: asdict(suite) for name, suite in suites.items()}


def merge(suites: Suites, plain: Mapping[str, Any]) -> None:
    """Add the plain data that a worker sent to `suites`."""
    for name, data in plain.items():
        suites.setdefault(name, SuiteFiles()).merge(SuiteFiles(**data))


def find_stale(
    folder: Path,
    suites: Suites,
    ran: Mapping[str, Mapping[str, str]],
    alone: Callable[[SuiteFiles], bool],
) -> list[Path]:
    """Return the stale baselines of suites that ran all their cases.

    `ran` has each case's device by suite and id. `alone` returns whether no other file has cases
    of a suite.
    """
    stale: list[Path] = []
    for name, suite in sorted(suites.items()):
        devices = ran.get(name, {})
        if not suite.complete or not devices.keys() >= set(suite.cases):
            continue
        paths = [
            path
            for device in {*devices.values()} - {""}
            for path in (folder / device / name).glob("*.json")
        ]
        missing = [
            path
            for path in paths
            if path.stem not in suite.cases_of_all_profiles and _read_model(path) in suite.models
        ]
        stale += sorted(missing) if missing and alone(suite) else []
    return stale


def _read_model(path: Path) -> str | None:
    try:
        result = baseline_store.read(path, path.stem)
    except baseline_store.BaselineError:
        return None
    return None if result is None else result.identity.get("model")


def collected_all_files(suite: SuiteFiles, root: Path, skipped: Iterable[str]) -> bool:
    """Return whether all files of the suite's name under `root` were collected.

    Folders that match a pattern in `skipped` hold no tests.
    """
    names = {Path(file).name for file in suite.files}
    for folder, folders, files in os.walk(root):
        # An environment may have this suite installed.
        is_environment = "pyvenv.cfg" in files
        folders[:] = [
            name
            for name in folders
            if not (is_environment or any(fnmatch(name, pattern) for pattern in skipped))
        ]
        if any(str(Path(folder) / name) not in suite.files for name in names.intersection(files)):
            return False
    return True
