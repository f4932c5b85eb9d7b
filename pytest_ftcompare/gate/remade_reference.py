"""Make a baseline's own environment again, as the reference for its times.

`--ftcompare-reference=auto` asks for it. The environment gets the distributions that the baseline
recorded, and the code that made it: this one's where the digests of all files that the case
executes are the baseline's, else the recorded release or commit.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest_ftcompare
from pytest_ftcompare.compare.environment_diff import is_source_file
from pytest_ftcompare.environments.checkout import CheckoutError, files_of, find_commit
from pytest_ftcompare.environments.environment_cache import EnvironmentCache, EnvironmentRefused
from pytest_ftcompare.environments.installer import InstallError, find_installer
from pytest_ftcompare.environments.lock import Lock, installed_lock
from pytest_ftcompare.environments.recorded_lock import (
    PACKAGE,
    RecordedLockError,
    own_lines,
    parse,
    remade,
)
from pytest_ftcompare.gate.project_config import ProjectConfig
from pytest_ftcompare.gate.remote import PROTOCOL, RemoteError, read_version
from pytest_ftcompare.gate.run_context import ReportStatus
from pytest_ftcompare.measure.library_versions import versions
from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.baseline_store import DISTRIBUTIONS, BaselineError
from pytest_ftcompare.results.result import Result

MAKING = "making the reference's environment"
# The file of a checkout that serves a reference's requests; older commits have none.
SERVER_FILE = Path("pytest_ftcompare/gate/serve.py")
REMEDY = "update the baseline, or name an interpreter with --ftcompare-reference=PYTHON"


@dataclass(frozen=True)
class RemadeReference:
    """Makes each baseline's environment in the folder `cache`, once per process.

    `baselines` is the folder of baselines, `root` the project's.
    """

    baselines: Path
    project: ProjectConfig
    root: Path
    cache: Path
    # What became of each lock that was asked for, by its text.
    _made: dict[str, Path | RemoteError] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        return "auto"

    def python_for(self, baseline: Result, report_status: ReportStatus) -> Path:
        """Return the interpreter of the baseline's environment, which is made on first need."""
        here = installed_lock()
        try:
            lock = self._lock(baseline, here)
        except RecordedLockError as error:
            raise RemoteError(f"{error}: {REMEDY}") from None
        except (BaselineError, CheckoutError) as error:
            raise RemoteError(str(error)) from None
        if lock == here:
            return Path(sys.executable)
        text = lock.text()
        if text not in self._made:
            try:
                self._made[text] = self._make(lock, report_status)
            except RemoteError as error:
                self._made[text] = error
        if isinstance(made := self._made[text], RemoteError):
            raise made
        return made

    def _make(self, lock: Lock, report_status: ReportStatus) -> Path:
        """Make an environment that can be a reference; raise `RemoteError` if it cannot."""
        report_status(MAKING)
        try:
            environments = EnvironmentCache(self.cache, find_installer(["--only-binary", ":all:"]))
            python = environments.get(lock, lambda text: report_status(f"{MAKING}  {text}"))
        except (EnvironmentRefused, InstallError) as error:
            raise RemoteError(f"it cannot be made: {error}") from None
        if (protocol := read_version(python)["protocol"]) != PROTOCOL:
            raise RemoteError(
                f"the baseline's code times by protocol {protocol}, this code by {PROTOCOL}: "
                f"{REMEDY}"
            )
        return python

    def _lock(self, baseline: Result, here: Lock) -> Lock:
        """Return the lock of the baseline's distributions and code; `here` is this one's."""
        environment = baseline.environment
        if DISTRIBUTIONS not in environment:
            raise RemoteError(
                f"its baseline was made before baselines recorded their distributions: {REMEDY}"
            )
        theirs = ".".join(str(environment.get("python", "")).split(".")[:2])
        ours = "{}.{}".format(*sys.version_info[:2])
        if theirs != ours:
            raise RemoteError(
                f"its baseline is of Python {theirs}, this is Python {ours}: run with Python "
                f"{theirs}, or update the baseline"
            )
        device, digest = str(environment["device"]), str(environment[DISTRIBUTIONS])
        recorded = parse(baseline_store.read_lock(self.baselines, device, digest))
        own = own_lines(here, self.root)
        own[PACKAGE] = self._code(baseline, recorded, here)
        libraries = Lock({name: line for name, line in recorded.lines.items() if name != PACKAGE})
        # The version of an edited checkout has a digest of its files.
        edited = {name: text for name, text in versions().items() if " edited " in text}
        unchanged = {name for name, text in edited.items() if environment.get(name) == text}
        return Lock(remade(libraries, here, unchanged)).overlaid(own)

    def _code(self, baseline: Result, recorded: Lock, here: Lock) -> str:
        """Return the line that installs the code which made the baseline."""
        changed = _changed_files(baseline)
        line = here.lines.get(PACKAGE, "")
        if not line:
            raise RemoteError(f"{PACKAGE} is not installed in this environment: install it")
        if not changed:
            return line
        if own := sorted(name for name in changed if self._is_of_project(name, baseline)):
            raise RemoteError(
                f"{own[0]} is this project's and has changed, so that a reference would have the "
                f"changed one, too: {REMEDY}"
            )
        if PACKAGE in recorded.lines:
            return remade(Lock({PACKAGE: recorded.lines[PACKAGE]}), here, ())[PACKAGE]
        commit = str(baseline.environment.get("commit", "unknown"))
        if commit.endswith("+edits"):
            raise RemoteError(
                f"the baseline's code was commit {commit.removesuffix('+edits')} with edits, which "
                f"no commit has: {REMEDY}"
            )
        if commit == "unknown" or not line.startswith("-e "):
            raise RemoteError(
                f"the baseline's code is of the commit {commit}, and this {PACKAGE} is no checkout "
                f"that has it: {REMEDY}"
            )
        return f"-e {self._files_of(commit)}"

    def _is_of_project(self, name: str, baseline: Result) -> bool:
        """Return whether a file that the baseline's case executes is the project's own."""
        own_method = baseline.identity["method"] in self.project.methods
        return name.startswith("judge ") or (
            own_method and "methods/" in name and name != "methods/base.py"
        )

    def _files_of(self, commit: str) -> Path:
        """Return a folder with this package's code at a commit."""
        checkout = Path(pytest_ftcompare.__file__).parents[1]
        folder = files_of(checkout, find_commit(checkout, commit), self.cache / "commits")
        if not (folder / SERVER_FILE).is_file():
            raise RemoteError(
                f"the baseline's code, commit {commit}, cannot be timed beside this one, as it has "
                f"no {SERVER_FILE}: {REMEDY}"
            )
        return folder


def _changed_files(baseline: Result) -> set[str]:
    """Return the names of files that the case executes whose digests are not the baseline's."""
    from pytest_ftcompare.measure.environment import source_digests

    now = source_digests(baseline.identity["method"], baseline.identity["task"])
    then = _digests(baseline.environment)
    return {name for name in now.keys() | then.keys() if now.get(name) != then.get(name)}


def _digests(environment: Mapping[str, object]) -> dict[str, object]:
    """Return the digests of source files in an environment."""
    return {name: value for name, value in environment.items() if is_source_file(name)}
