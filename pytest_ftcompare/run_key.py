"""What the results of a run depend on besides their cases: a run goes on with another's only where all of it is the same."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest_ftcompare
from pytest_ftcompare.measure import device, host, nvml
from pytest_ftcompare.options import Settings
from pytest_ftcompare.versions import PACKAGES

Key = Mapping[str, str]
OPTIONS = ("profile", "hub", "baselines", "update", "new_only", "seeds", "budget", "strict", "threads", "device", "window")
PROJECT = frozenset({".py", ".toml", ".ini", ".cfg", ".jsonl", ".csv"})  # of files that decide what a project's cases are
DIGESTS = ("code", "project", "baselines' content", "hub's content")


def make_key(settings: Settings, root: Path, *, benchmarks: bool) -> dict[str, str]:
    """What the results of a run depend on besides their cases, by name: options, machine, versions, code, data, as digests.

    `root` is the project's folder, whose code and data count; `benchmarks` says whether cases are timed.
    """
    package = Path(pytest_ftcompare.__file__).parent
    methods = [file for entry in pytest_ftcompare.__path__ for file in Path(entry, "methods").rglob("*.py")]
    own = [file for file in settings.own.methods.values() if file.is_file()]
    gpus = device.visible(os.environ, device.count_gpus) if settings.device != "cpu" else []
    return {
        **{name: str(getattr(settings, name)) for name in OPTIONS},
        "benchmarks": "on" if benchmarks else "off",
        "machine": f"{host.processor()}, Python {platform.python_version()}",
        "gpus": f"{len(gpus)}, driver {nvml.driver()}" if gpus else "none",
        "code": _digest({*_files(package), *methods, *own}),
        "project": _digest(_files(root, PROJECT)),
        "baselines' content": _digest(settings.baselines.rglob("*.json")),
        "hub's content": _listed(settings.hub) if settings.hub is not None else "none",
        **_installed(),
    }


def _installed() -> dict[str, str]:
    """Each library's version with its local part and, where it was not installed from an index, what it was installed from:
    the digest of an editable checkout's files, or the commit."""
    found = {}
    for name in PACKAGES:
        try:
            there = distribution(name)
        except PackageNotFoundError:
            found[name] = "not installed"
            continue
        found[name] = there.version + _origin(json.loads(there.read_text("direct_url.json") or "{}"))
    return found


def _origin(origin: dict[str, Any]) -> str:
    """What pip wrote of where a library came from: https://packaging.python.org/specifications/direct-url/."""
    if "vcs_info" in origin:
        return f" at {origin['vcs_info'].get('commit_id', 'unknown')}"
    folder = Path(urlparse(origin.get("url", "")).path)
    if not origin.get("dir_info", {}).get("editable") or not folder.is_dir():
        return ""
    return f" edited {_digest(_files(folder, {'.py'}))}"


def _files(root: Path, suffixes: Collection[str] = ()) -> Iterator[Path]:
    """The files below a folder, of these endings or all; not what is hidden, another environment's or compiled."""
    for at, folders, files in os.walk(root):
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        folders[:] = [one for one in folders if not one.startswith((".", "__pycache__"))]
        yield from (Path(at, one) for one in files if not suffixes or Path(one).suffix in suffixes)


def _digest(files: Iterable[Path]) -> str:
    content = hashlib.sha256()
    for file in sorted(files):
        content.update(str(file).encode(errors="surrogateescape"))
        with suppress(OSError):  # gone, or not ours to read: its name counts
            content.update(file.read_bytes())
    return content.hexdigest()[:12]


def _listed(folder: Path) -> str:
    """A digest of names, sizes and times: models are too large to be read for this."""
    content = hashlib.sha256()
    for file in sorted(_files(folder)):
        with suppress(OSError):
            found = file.stat()
            content.update(f"{file} {found.st_size} {found.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return content.hexdigest()[:12]
