"""Run a session of pytest in an environment, and read what it found.

`try_upgrade.py` and `gate_run.py` call it. Sessions leave the project's cache, history and
baselines as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest_ftcompare
from pytest_ftcompare.environments.environment_cache import IMPORTS
from pytest_ftcompare.gate import project_config
from pytest_ftcompare.gate.remote import variables_without_python_path
from pytest_ftcompare.gate.resume_key import PROJECT_SUFFIXES
from pytest_ftcompare.gate.session import SESSION_NODEID
from pytest_ftcompare.measure import host
from pytest_ftcompare.measure.library_versions import digest, package_files

# pytest's exit statuses of a session that ran: all passed, or some test failed.
RAN = (0, 1)
NO_TESTS = 5  # pytest's: no test was collected, or none stayed after -k and -m
USAGE_ERRORS = (4, NO_TESTS)  # pytest's: 4 is a wrong argument
# Times are compared in turn, so baselines have none. A GPU's memory needs windows, the shortest.
PROVISIONAL = ("--ftcompare-provisional", "--ftcompare-window=0")
# Options of pytest that belong to the command, or would leave cases out.
RESERVED = (
    *("--update-baselines", "--ftcompare-baselines", "--ftcompare-reference"),
    *("--ftcompare-seeds", "--ftcompare-history", "--ftcompare-resume", "--ftcompare-window"),
    "--ftcompare-provisional",
    *("--lf", "--last-failed", "--exitfirst", "--maxfail", "--stepwise", "--sw", "--benchmark-"),
    *("--junit-xml", "--junitxml"),
)
# Options whose value is the next argument, which is no path.
TAKES_VALUE = (
    *("-k", "-m", "-n", "-p", "-o", "-W", "-r", "-c", "--numprocesses", "--rootdir"),
    *("--confcutdir", "--ignore", "--ignore-glob", "--deselect", "--durations"),
    *("--ftcompare-accept", "--ftcompare-cache-dir", "--ftcompare-device", "--ftcompare-hub"),
    *("--ftcompare-profile", "--ftcompare-report", "--ftcompare-threads"),
)
# A program that prints the file from which each module would be imported.
ORIGINS_PROGRAM = """
import sys
from importlib.util import find_spec
for name in sys.argv[1:]:
    spec = find_spec(name)
    print(spec.origin if spec else "")
"""
STOPS_EARLY = re.compile(r"-[hlqsvx]*x[hlqsvx]*")  # -x, also beside other flags
# Suffixes of the files that a project's methods and judges may read.
DATA_SUFFIXES = PROJECT_SUFFIXES | {".tsv", ".parquet", ".arrow", ".gz"}


class TryError(RuntimeError):
    """Two environments cannot be compared; the message says why in one sentence."""


@dataclass(frozen=True)
class Session:
    """A session of pytest: its exit status, its document, and its failed tests.

    The document is {} if the session did not run to its end. `failed_tests` has the sentence of
    each failure by node id, cases and claims included; `expected_failures` that of each test that
    is marked, or says, that it fails for a known reason.
    """

    status: int
    document: dict[str, Any] = field(default_factory=dict)
    failed_tests: dict[str, str] = field(default_factory=dict)
    expected_failures: dict[str, str] = field(default_factory=dict)

    @property
    def ran(self) -> bool:
        return self.status in RAN and bool(self.document)

    @property
    def other_failed_tests(self) -> dict[str, str]:
        """The failed tests that are neither a case nor a claim, nor the session's own finding."""
        gated = [*self.document.get("cases", ()), *self.document.get("claims", ())]
        nodeids = {SESSION_NODEID, *(test["nodeid"] for test in gated)}
        return {name: text for name, text in self.failed_tests.items() if name not in nodeids}


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise `TryError` for an argument of pytest that the command itself gives."""
    for argument in arguments:
        if STOPS_EARLY.fullmatch(argument) or argument.startswith(RESERVED):
            raise TryError(
                f"expected arguments that choose cases, such as suites -k lora, got {argument}: "
                "leave it out, the command decides it"
            )


def with_suites(arguments: Sequence[str]) -> list[str]:
    """Return the arguments, after the folder `suites` if they name no file or folder."""
    pairs = zip(["", *arguments], arguments, strict=False)
    values = [text for before, text in pairs if before not in TAKES_VALUE and text[:1] != "-"]
    names_path = any(Path(value.split("::")[0]).exists() for value in values)
    return [*arguments] if names_path or not Path("suites").is_dir() else ["suites", *arguments]


@cache
def _check_python_path(python: Path) -> None:
    """Raise `TryError` if PYTHONPATH has a library, which both environments would import."""
    if "PYTHONPATH" not in os.environ:
        return
    command = [str(python), "-P", "-c", ORIGINS_PROGRAM, *IMPORTS]
    files, own_files = (
        subprocess.run(command, env=variables, capture_output=True, text=True).stdout.splitlines()
        for variables in (None, variables_without_python_path())
    )
    for name, file, own_file in zip(IMPORTS, files, own_files, strict=False):
        if file != own_file:
            raise TryError(
                f"expected {name} of {python}, PYTHONPATH gives {file} to both environments: take "
                "it out of PYTHONPATH, or name its checkout with -e"
            )


def run_session(
    python: Path, arguments: Sequence[str], folder: Path, name: str, *, log: bool = False
) -> Session:
    """Run pytest in the working folder.

    `folder` keeps the session's cache and reports under `name`. With `log`, its output goes to a
    file there.
    """
    _check_python_path(python)
    folder.mkdir(parents=True, exist_ok=True)
    report, tests = folder / f"{name}.json", folder / f"{name}.xml"
    report.unlink(missing_ok=True)
    tests.unlink(missing_ok=True)
    own = [
        *("-o", f"cache_dir={folder / f'{name}-cache'}"),
        # The project's addopts and PYTEST_ADDOPTS may have these.
        *("-o", "ftcompare_history=", "--ftcompare-history=", "--maxfail=0"),
        # Only this family of JUnit's format has the file of a test.
        *("-o", "junit_family=xunit1", f"--junit-xml={tests}", f"--ftcompare-report={report}"),
    ]
    command = [str(python), "-m", "pytest", *arguments, *own]
    if log:
        with (folder / f"{name}.log").open("w", encoding="utf-8") as output:
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT)
    else:
        done = subprocess.run(command)
    if done.returncode not in RAN or not (report.is_file() and tests.is_file()):
        return Session(done.returncode)
    junit = ElementTree.fromstring(tests.read_text(encoding="utf-8"))
    return Session(
        done.returncode,
        json.loads(report.read_text(encoding="utf-8")),
        _problems(junit, "failure") | _problems(junit, "error"),
        _problems(junit, "skipped[@type='pytest.xfail']"),
    )


def _problems(junit: ElementTree.Element, kind: str) -> dict[str, str]:
    """Return the sentence of each problem of a kind in a JUnit document, by node id."""
    problems = {}
    for test in junit.iter("testcase"):
        if (problem := test.find(kind)) is None:
            continue
        file = test.get("file", "")
        # "suites.test_few_shot.TestLora" for a class in suites/test_few_shot.py.
        module = file.removesuffix(".py").replace("/", ".")
        classes = test.get("classname", "").removeprefix(module).strip(".")
        nodeid = "::".join(filter(None, [file, *classes.split("."), test.get("name", "")]))
        message = problem.get("message", "") or (problem.text or "")
        lines = message.strip().splitlines() or ["no message"]
        # `pytest.fail` and `pytest.xfail` may name several things, an assertion explains itself.
        is_assertion = kind == "failure" and not message.startswith("Failed: ")
        problems[nodeid] = lines[0] if is_assertion else "; ".join(map(str.strip, lines))
    return problems


def _data_files() -> Iterator[Path]:
    """Return the files that the project's tasks read, of any suffix and in any folder."""
    try:
        return project_config.read(Path.cwd()).data_files()
    except project_config.ProjectConfigError as error:
        raise TryError(str(error)) from None


def results_key(*parts: str) -> str:
    """Return a digest of what results depend on: these parts, code, project and processor."""
    content = [
        digest(package_files(Path(pytest_ftcompare.__file__).parent)),
        digest({*package_files(Path.cwd(), DATA_SUFFIXES), *_data_files()}),
        host.processor(),
        *parts,
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
