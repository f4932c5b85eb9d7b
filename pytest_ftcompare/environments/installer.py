"""Ask pip, or uv where an environment has no pip, what a change brings, and install it.

Both read the environment that runs and change nothing in it. pip uses the user's configuration:
indexes, certificates, constraints.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from packaging.utils import canonicalize_name

from pytest_ftcompare.environments.conflicts import Conflict, read_pip, read_uv
from pytest_ftcompare.environments.lock import editable, line_from, path_of

# A line of `uv pip install --dry-run`: " + peft==0.20.0", and for a direct install
# " + peft @ file:///x" or, from an older uv, " + peft==0.20.0 (from file:///x)".
UV_PLANNED = re.compile(
    r"^ [+~] (?P<name>[^\s=]+)"
    r"(?:==(?P<version>\S+)(?: \(from (?P<origin>\S+)\))?| @ (?P<url>\S+))",
    re.MULTILINE,
)
# The line of `pip index versions` with all releases.
AVAILABLE = re.compile(r"^Available versions: (.+)$", re.MULTILINE)
PYPI = "https://pypi.org/simple"
# A line of `pip config list`: global.index-url='https://pypi.org/simple'.
INDEX_LINE = re.compile(r"[\w:.]+\.index-url=")
# What pip and uv write before the sentence of an error.
ERROR_PREFIX = re.compile(r"^\s*(ERROR|error|cause): ")


class InstallError(RuntimeError):
    """An installer failed; the message is its first sentence."""


class Installer(Protocol):
    """`resolve` returns the lines that a change installs, `install` installs exactly these.

    `conflicts` are requirements that an environment breaks, `versions` a package's releases, and
    `index` the address of its index, "" without one.
    """

    def resolve(self, requirements: Sequence[str]) -> dict[str, str]: ...

    def install(self, python: Path, lines: Sequence[str]) -> None: ...

    def conflicts(self, python: Path) -> list[Conflict]: ...

    def versions(self, name: str) -> list[str]: ...

    def index(self) -> str: ...


def _arguments(requirements: Sequence[str]) -> list[str]:
    """Return requirements as arguments: `-e FOLDER` is two."""
    return [
        part
        for line in requirements
        for part in (line.split(" ", 1) if line[:3] == "-e " else [line])
    ]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InstallError(_first_error(done.stderr))
    return done


def _first_error(text: str) -> str:
    """Return the first error in an installer's output; uv gives its reason on a second line."""
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if ERROR_PREFIX.match(line)] or lines
    errors = errors or ["no reason given"]
    cause = [line for line in errors[1:2] if line.strip().startswith("cause: ")]
    return ": ".join(ERROR_PREFIX.sub("", part).strip() for part in [errors[0], *cause])


class Pip:
    """The pip of the environment that runs; `options` are given to each of its commands."""

    def __init__(self, options: Sequence[str]) -> None:
        self._options = options

    def _pip(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments])

    def resolve(self, requirements: Sequence[str]) -> dict[str, str]:
        done = self._pip(
            *("install", "--dry-run", "--quiet", "--report", "-", *self._options),
            *_arguments(requirements),
        )
        lines: dict[str, str] = {}
        for each in json.loads(done.stdout)["install"]:
            name, version = each["metadata"]["name"], each["metadata"]["version"]
            origin = each["download_info"] if each["is_direct"] else {}
            lines[canonicalize_name(name)] = line_from(name, version, origin)
        return lines

    def install(self, python: Path, lines: Sequence[str]) -> None:
        self._pip(
            *("--python", str(python), "install", "--quiet", "--no-deps", "--ignore-installed"),
            *(*self._options, *_arguments(lines)),
        )

    def conflicts(self, python: Path) -> list[Conflict]:
        command = [sys.executable, "-m", "pip", "--python", str(python), "check"]
        done = subprocess.run(command, capture_output=True, text=True)
        return _checked(done, read_pip(done.stdout) if done.returncode else [])

    def versions(self, name: str) -> list[str]:
        """Return the releases that the indexes have."""
        done = self._pip("index", "versions", *self._options, name)
        match = AVAILABLE.search(done.stdout)
        return match[1].split(", ") if match else []

    def index(self) -> str:
        """Return the first index of the options, of the user's configuration, or PyPI."""
        if index := _index_of(self._options):
            return index
        if "--no-index" in self._options:
            return ""
        try:
            lines = self._pip("config", "list").stdout.splitlines()
        except InstallError:
            return PYPI
        # A variable comes last, and counts most.
        indexes = [line.partition("=")[2].strip("'") for line in lines if INDEX_LINE.match(line)]
        return indexes[-1] if indexes else PYPI


class Uv:
    """uv, for an environment without pip; `options` are given to each of its commands."""

    def __init__(self, options: Sequence[str]) -> None:
        self._options = options

    def resolve(self, requirements: Sequence[str]) -> dict[str, str]:
        done = _run(
            [
                *("uv", "pip", "install", "--dry-run", "--python", sys.executable),
                *(*self._options, *_arguments(requirements)),
            ]
        )
        # uv does not say which folders it would use in place.
        in_place = {Path(folder).resolve() for folder in editable(requirements)}
        lines: dict[str, str] = {}
        for planned in UV_PLANNED.finditer(done.stderr):
            name, url = planned["name"], planned["url"] or planned["origin"] or ""
            if url.startswith("file:") and path_of(url).resolve() in in_place:
                line = f"-e {path_of(url)}"
            else:
                line = f"{name} @ {url}" if url else f"{name}=={planned['version']}"
            lines[canonicalize_name(name)] = line
        return lines

    def install(self, python: Path, lines: Sequence[str]) -> None:
        _run(
            [
                *("uv", "pip", "install", "--python", str(python), "--no-deps"),
                *(*self._options, *_arguments(lines)),
            ]
        )

    def conflicts(self, python: Path) -> list[Conflict]:
        command = ["uv", "pip", "check", "--python", str(python)]
        done = subprocess.run(command, capture_output=True, text=True)
        return _checked(done, read_uv(done.stderr))

    def versions(self, name: str) -> list[str]:
        raise InstallError(
            "uv lists no releases: install pip with `uv pip install "
            f"--python {sys.executable} pip`, then repeat the command"
        )

    def index(self) -> str:
        """Return the index of the options, or PyPI."""
        return _index_of(self._options) or ("" if "--no-index" in self._options else PYPI)


def _index_of(options: Sequence[str]) -> str:
    """Return the value of --index-url in an installer's options, "" without it."""
    return options[options.index("--index-url") + 1] if "--index-url" in options else ""


def _checked(
    done: subprocess.CompletedProcess[str], conflicts: Sequence[Conflict]
) -> list[Conflict]:
    """Return conflicts but those about installers; raise `InstallError` if the check failed."""
    if done.returncode and not conflicts:
        raise InstallError(f"requirements cannot be checked: {_first_error(done.stderr)}")
    return [conflict for conflict in conflicts if not conflict.is_about_installer]


def find_installer(options: Sequence[str]) -> Installer:
    """Return pip, or uv if this environment has no pip; raise `InstallError` without either."""
    if importlib.util.find_spec("pip") is not None:
        return Pip(options)
    if shutil.which("uv") is not None:
        return Uv(options)
    raise InstallError(
        "expected pip in this environment, or uv on the path, there is neither: run "
        f"`{sys.executable} -m ensurepip`"
    )
