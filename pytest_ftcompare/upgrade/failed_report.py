"""Read from a failed session's JSON report what a search needs: the good end and the cases."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_ftcompare.measure.library_versions import PACKAGES, versions
from pytest_ftcompare.report import document_reader
from pytest_ftcompare.report.document_reader import DocumentError
from pytest_ftcompare.report.failure import RELEASE, search_options
from pytest_ftcompare.results.result import Json
from pytest_ftcompare.upgrade.session import TryError

BUILD = re.compile(r"[a-z0-9.]+")  # the local part of a version, such as cpu or cu128


@dataclass(frozen=True)
class FailedReport:
    """A failed session: its file, its document, and the failed cases whose libraries moved alike.

    `requirements` are the releases that these cases' baselines were made with, where they differ.
    """

    file: Path
    document: Json
    cases: Sequence[Json]
    requirements: Sequence[str]

    @property
    def arguments(self) -> list[str]:
        """Pytest's arguments that run the cases again, with the session's own options."""
        nodeids = [case["nodeid"] for case in self.cases]
        return [*search_options(self.cases[0]["rerun"]), *nodeids]


def read(file: Path) -> FailedReport:
    """Read a report; raise `TryError` if nothing in it can be searched."""
    try:
        document = document_reader.read(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise TryError(f"--from: expected a JSON report, {file}: {error.strerror}") from None
    except (DocumentError, UnicodeDecodeError) as error:
        raise TryError(f"--from: {file} cannot be read: {error}") from None
    failed = [case for case in document["cases"] if case["failed"] and case["baseline"]]
    if not failed:
        raise TryError(f"--from: expected a case that failed against its baseline, {file} has none")
    moved = _moved_libraries(failed[0])
    if not moved:
        raise TryError(
            f"--from: {failed[0]['id']} failed with its baseline's libraries, so no release did "
            "it: bisect the checkout that changed, with --checkout"
        )
    cases = [case for case in failed if _moved_libraries(case) == moved]
    _check_environment(file, moved)
    builds = failed[0]["baseline"]["environment"]
    return FailedReport(file, document, cases, _requirements(moved, builds, failed[0]["id"]))


def _moved_libraries(case: Json) -> dict[str, tuple[str, str]]:
    """Return the libraries that differ from a case's baseline: (baseline's, session's)."""
    return {
        change["name"]: (str(change["base"]), str(change["new"]))
        for change in case["changes"]
        if change["name"] in PACKAGES
    }


def _check_environment(file: Path, moved: Mapping[str, tuple[str, str]]) -> None:
    """Raise `TryError` unless this environment has the session's libraries."""
    here = versions()
    for name, (_, version) in moved.items():
        if here[name] != version:
            raise TryError(
                f"--from: expected the environment of {file}, with {name} {version}, here is "
                f"{here[name]}: run it where the session ran, or give --good and --bad"
            )


def _requirements(
    moved: Mapping[str, tuple[str, str]], environment: Mapping[str, object], case: str
) -> list[str]:
    """Return the baseline's releases as requirements; raise `TryError` for what is no release."""
    requirements = []
    for name, (version, _) in moved.items():
        if not RELEASE.fullmatch(version):
            raise TryError(
                f"--from: {case} has a baseline of {name} {version}, which no index has: give "
                "--good and --bad, or --checkout"
            )
        build = str(environment.get(f"{name} build", ""))
        if build and not BUILD.fullmatch(build):
            raise TryError(f"--from: expected the build of {name} such as cpu, got {build!r}")
        requirements.append(f"{name}=={version}{f'+{build}' if build else ''}")
    return requirements
