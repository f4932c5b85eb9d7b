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

from pytest_ftcompare.upgrade.lock import line_from

# A line of `uv pip install --dry-run`: " + peft==0.20.0" or " + peft==0.20.0 (from file:///x)".
UV_PLANNED = re.compile(r" [+~] (\S+)==(\S+)(?: \(from (\S+)\))?")
# The line of `pip index versions` with all releases.
AVAILABLE = re.compile(r"^Available versions: (.+)$", re.MULTILINE)
# What pip and uv write before the sentence of an error.
ERROR_PREFIX = re.compile(r"^\s*(ERROR|error|cause): ")


class InstallError(RuntimeError):
    """An installer failed; the message is its first sentence."""


class Installer(Protocol):
    """`resolve` returns the lines that a change installs, `install` installs exactly these.

    `conflicts` are requirements that an environment breaks, `versions` a package's releases.
    """

    def resolve(self, requirements: Sequence[str]) -> dict[str, str]: ...

    def install(self, python: Path, lines: Sequence[str]) -> None: ...

    def conflicts(self, python: Path) -> list[str]: ...

    def versions(self, name: str) -> list[str]: ...


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
    errors = [line for line in lines if ERROR_PREFIX.match(line)] or lines or ["it says nothing"]
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
        planned = json.loads(done.stdout)["install"]
        return {
            canonicalize_name(each["metadata"]["name"]): line_from(
                each["metadata"]["name"], each["metadata"]["version"], each["download_info"]
            )
            for each in planned
        }

    def install(self, python: Path, lines: Sequence[str]) -> None:
        self._pip(
            *("--python", str(python), "install", "--quiet", "--no-deps", "--ignore-installed"),
            *(*self._options, *_arguments(lines)),
        )

    def conflicts(self, python: Path) -> list[str]:
        command = [sys.executable, "-m", "pip", "--python", str(python), "check"]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.stdout.splitlines() if done.returncode else []

    def versions(self, name: str) -> list[str]:
        """Return the releases that the indexes have."""
        done = self._pip("index", "versions", *self._options, name)
        match = AVAILABLE.search(done.stdout)
        return match[1].split(", ") if match else []


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
        lines: dict[str, str] = {}
        for name, version, origin in UV_PLANNED.findall(done.stderr):
            folder = origin.removeprefix("file://")
            lines[canonicalize_name(name)] = f"-e {folder}" if origin else f"{name}=={version}"
        return lines

    def install(self, python: Path, lines: Sequence[str]) -> None:
        _run(
            [
                *("uv", "pip", "install", "--python", str(python), "--no-deps"),
                *(*self._options, *_arguments(lines)),
            ]
        )

    def conflicts(self, python: Path) -> list[str]:
        command = ["uv", "pip", "check", "--python", str(python)]
        done = subprocess.run(command, capture_output=True, text=True)
        return [line for line in done.stderr.splitlines() if " requires " in line]

    def versions(self, name: str) -> list[str]:
        raise InstallError("uv lists no releases: install pip in this environment")


def find_installer(options: Sequence[str]) -> Installer:
    """Return pip, or uv if this environment has no pip; raise `InstallError` without either."""
    if importlib.util.find_spec("pip") is not None:
        return Pip(options)
    if shutil.which("uv") is not None:
        return Uv(options)
    raise InstallError("expected pip in this environment, or uv on the path, there is neither")
