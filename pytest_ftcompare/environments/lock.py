"""Say what an environment has: a line for pip for each of its distributions."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from packaging.utils import canonicalize_name

from pytest_ftcompare.measure.library_versions import digest, package_files

# A new environment needs no installer, and no case uses one.
INSTALLERS = frozenset({"pip", "uv"})
# Suffixes of the files in a library's folder that decide what it does; the reports and logs that a
# session writes there do not.
LIBRARY_SUFFIXES = frozenset({".py", ".toml", ".cfg", ".c", ".cpp", ".cu", ".pyx", ".rs", ".so"})


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
        """Return 16 hex digits of what an environment has: two with equal ones are the same.

        An environment uses a checkout (`-e`) in place, so the checkout's content is no part.
        """
        copied = {name: line for name, line in self.lines.items() if not line.startswith("-e ")}
        return self._digest_with(copied)

    def content_digest(self, fixed: str = "") -> str:
        """Return 16 hex digits of what results depend on: also the content of checkouts.

        `fixed` is a name whose line tells its content: building may add files to its folder.
        """
        return self._digest_with({name: line for name, line in self.lines.items() if name != fixed})

    def _digest_with(self, read: Mapping[str, str]) -> str:
        """Return a digest of the lines, the local files of those to read, Python and platform."""
        contents = sorted((name, _content(name, line)) for name, line in read.items())
        text = json.dumps([sorted(self.lines.items()), contents, sys.version, platform.platform()])
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


def _content(name: str, line: str) -> str:
    """Return a digest of the local folder or file that a line installs, "" for any other line."""
    if line.startswith("-e "):
        return digest(package_files(Path(line.removeprefix("-e ")), LIBRARY_SUFFIXES))
    url = line.partition(" @ ")[2]
    if not url.startswith("file:"):
        return ""
    path = path_of(url)
    content = digest([path] if path.is_file() else package_files(path, LIBRARY_SUFFIXES))
    # The copy that is installed here may be of an earlier content.
    return f"{content} {_record(name)}"


def _record(name: str) -> str:
    try:
        return distribution(name).read_text("RECORD") or ""
    except PackageNotFoundError:
        return ""


def _version(lock: Lock, name: str) -> str:
    line = lock.lines.get(name, "")
    return line.partition("==")[2] or line.partition(" @ ")[2] or line


def installed_lock() -> Lock:
    """Return the lock of the environment that runs."""
    return Lock({name: line_of(each) for name, each in installed().items()})


def installed() -> dict[str, Distribution]:
    """Return the distributions of the environment that runs, without installers."""
    # Metadata that a build leaves in the working folder says nothing of what is installed.
    here = Path.cwd()
    path = [entry for entry in sys.path if Path(entry).resolve() != here]
    # The first of a name is the one that Python imports.
    by_name: dict[str, Distribution] = {}
    for each in distributions(path=path):
        # Each reading parses the metadata.
        if name := each.name:
            by_name.setdefault(canonicalize_name(name), each)
    return {name: by_name[name] for name in sorted(by_name.keys() - INSTALLERS)}


def line_of(distribution: Distribution) -> str:
    """Return the line that installs a distribution from where it was installed."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return line_from(distribution.name, distribution.version, origin)


def line_from(name: str, version: str, origin: Mapping[str, Any]) -> str:
    """Return the line for a name, a version and the origin of a direct install, {} for others.

    The origin has the form of direct_url.json and of pip's installation report
    (packaging.python.org/specifications/direct-url).
    """
    url = str(origin.get("url", ""))
    if not url:
        return f"{name}=={version}"
    if origin.get("dir_info", {}).get("editable"):
        return f"-e {path_of(url)}"
    if "vcs_info" in origin:
        url = f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
    folder = f"#subdirectory={origin['subdirectory']}" if "subdirectory" in origin else ""
    return f"{name} @ {url}{folder}"


def path_of(url: str) -> Path:
    """Return the path of a file: URL."""
    return Path(url2pathname(urlparse(url).path))


def read_constraints(file: Path) -> list[tuple[int, str]]:
    """Return the numbers and the lines of a file's constraints, without comments."""
    numbered = enumerate(file.read_text("utf-8").splitlines(), start=1)
    lines = [(number, line.partition(" #")[0].strip()) for number, line in numbered]
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def editable(lines: Iterable[str]) -> list[str]:
    """Return the folders of lines that install a checkout in place."""
    return [line.removeprefix("-e ") for line in lines if line.startswith("-e ")]


def is_release(line: str) -> str:
    """Return the version of a line that installs a release, "" for any other line."""
    match = re.fullmatch(r"[^@ ]+==([^+ ]+)(\+\S+)?", line)
    return match[1] if match else ""
