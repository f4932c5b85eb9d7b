"""Say what an environment has: a line for pip for each of its distributions."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from packaging.utils import canonicalize_name

# A new environment needs no installer, and no case uses one.
INSTALLERS = frozenset({"pip", "uv"})


@dataclass(frozen=True)
class Move:
    """A distribution that differs between two locks; "" stands for none."""

    name: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.name} {self.old or 'not installed'} -> {self.new or 'not installed'}"


@dataclass(frozen=True)
class Lock:
    """A line that pip installs, such as peft==0.21.2 or -e /folder, by canonical name."""

    lines: Mapping[str, str]

    def digest(self) -> str:
        """Return 16 hex digits of the lines, the Python version and the platform."""
        text = json.dumps([sorted(self.lines.items()), sys.version, platform.platform()])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def overlaid(self, lines: Mapping[str, str]) -> Lock:
        """Return this lock with other lines in place of its own."""
        return Lock({**self.lines, **lines})

    def moves_to(self, other: Lock) -> list[Move]:
        """Return the distributions that differ in another lock."""
        names = sorted(self.lines.keys() | other.lines.keys())
        versions = [(name, _version(self, name), _version(other, name)) for name in names]
        return [Move(*values) for values in versions if values[1] != values[2]]

    def text(self) -> str:
        """Return the lines as a file for `pip install -r`."""
        return "".join(f"{line}\n" for _, line in sorted(self.lines.items()))


def _version(lock: Lock, name: str) -> str:
    line = lock.lines.get(name, "")
    return line.partition("==")[2] or line.partition(" @ ")[2] or line


def installed_lock() -> Lock:
    """Return the lock of the environment that runs."""
    return Lock({name: line_of(each) for name, each in installed().items()})


def installed() -> dict[str, Distribution]:
    """Return the distributions of the environment that runs, without installers."""
    # The first of a name is the one that Python imports.
    found: dict[str, Distribution] = {}
    for each in distributions():
        if each.name:
            found.setdefault(canonicalize_name(each.name), each)
    return {name: found[name] for name in sorted(found.keys() - INSTALLERS)}


def line_of(distribution: Distribution) -> str:
    """Return the line that installs a distribution from where it was installed."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return line_from(distribution.name, distribution.version, origin)


def line_from(name: str, version: str, origin: Mapping[str, Any]) -> str:
    """Return the line for a name, a version and an origin.

    The origin has the form of direct_url.json and of pip's installation report
    (packaging.python.org/specifications/direct-url).
    """
    url = str(origin.get("url", ""))
    if origin.get("dir_info", {}).get("editable"):
        return f"-e {url2pathname(urlparse(url).path)}"
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return f"{name} @ {vcs['vcs']}+{url}@{vcs['commit_id']}"
    if "dir_info" in origin:
        return f"{name} @ {url}"
    return f"{name}=={version}"


def read_constraints(file: Path) -> list[str]:
    """Return the requirement lines of a constraints file, without comments and blank lines."""
    lines = (line.partition(" #")[0].strip() for line in file.read_text("utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def editable(lines: Iterable[str]) -> list[str]:
    """Return the folders of lines that install a checkout in place."""
    return [line.removeprefix("-e ") for line in lines if line.startswith("-e ")]
