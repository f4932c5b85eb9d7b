"""Stale baselines: files of a suite whose case its tables no longer have, in any profile.

A suite is known where it is collected, in a worker under xdist; it is judged on the controller, and only when all of its
cases ran. What could be another's is never stale: the baseline of another model than the suite has here (another profile's,
or one that the tables take from the environment), of a file of the same name that was not collected, one that can't be read.
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
    """What the tables of one suite name: the cases of this run, those of every profile, and this run's models.

    `known` is false where a profile's table could not be made, so that its cases are unknown.
    """

    files: list[str] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    cases_of_all_profiles: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    complete: bool = True

    def merge(self, other: SuiteFiles) -> None:
        """Take in what another file, test or worker knows of the suite."""
        for name in ("files", "cases", "cases_of_all_profiles", "models"):
            setattr(self, name, sorted({*getattr(self, name), *getattr(other, name)}))
        self.complete &= other.complete


Suites = dict[str, SuiteFiles]
SUITES = pytest.StashKey[Suites]()


def record_suite(
    suites: Suites, metafunc: pytest.Metafunc, cases: Sequence[Case], profiles: Iterable[Profile]
) -> None:
    """Take in a test's table as it is collected; `cases` are those of this run's profile, which is one of the `profiles`."""
    if not cases:
        return
    known, anywhere = True, {one.id for one in cases}
    for profile in profiles:
        try:
            anywhere |= {one.id for one in parametrize.cases(metafunc, profile)}
        except pytest.Collector.CollectError:  # a table that does not fit that profile
            known = False
    file = str(metafunc.definition.path)
    found = SuiteFiles(
        [file], [one.id for one in cases], sorted(anywhere), [one.model for one in cases], known
    )
    suites.setdefault(cases[0].suite, SuiteFiles()).merge(found)


def to_plain(suites: Suites) -> dict[str, Any]:
    """What a worker sends to the controller."""
    return {name: asdict(one) for name, one in suites.items()}


def merge(suites: Suites, plain: Mapping[str, Any]) -> None:
    """Take in what a worker sent."""
    for name, data in plain.items():
        suites.setdefault(name, SuiteFiles()).merge(SuiteFiles(**data))


def find_stale(
    folder: Path,
    suites: Suites,
    ran: Mapping[str, Mapping[str, str]],
    alone: Callable[[SuiteFiles], bool],
) -> list[Path]:
    """The stale baselines of the suites of which all cases ran.

    `ran` has the device of each case, by suite and id; `alone` says that no other file holds cases of a suite.
    """
    found: list[Path] = []
    for name, suite in sorted(suites.items()):
        devices = ran.get(name, {})
        if not suite.complete or not devices.keys() >= set(suite.cases):
            continue
        paths = [
            one
            for device in {*devices.values()} - {""}
            for one in (folder / device / name).glob("*.json")
        ]
        stale = [
            one for one in paths if one.stem not in suite.cases_of_all_profiles and _read_model(one) in suite.models
        ]
        found += sorted(stale) if stale and alone(suite) else []
    return found


def _read_model(path: Path) -> str | None:
    try:
        result = baseline_store.read(path, path.stem)
    except baseline_store.BaselineError:
        return None
    return None if result is None else result.identity.get("model")


def collected_all_files(suite: SuiteFiles, root: Path, skipped: Iterable[str]) -> bool:
    """Whether all files of the suite's name under `root` were collected; folders like the `skipped` ones hold no tests."""
    names = {Path(one).name for one in suite.files}
    for at, folders, files in os.walk(root):
        skips = "pyvenv.cfg" in files  # another environment, in which this suite may be installed
        folders[:] = [
            one
            for one in folders
            if not (skips or any(fnmatch(one, pattern) for pattern in skipped))
        ]
        if any(str(Path(at) / one) not in suite.files for one in names.intersection(files)):
            return False
    return True
