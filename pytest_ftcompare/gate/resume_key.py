"""What the results of a run depend on besides their cases: a run goes on with another's only where all of it is the same."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest_ftcompare
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.measure import gpu_assignment, host, nvml
from pytest_ftcompare.measure.library_versions import digest, files, versions

Key = Mapping[str, str]
OPTIONS = (
    "profile",
    "hub",
    "baselines",
    "update",
    "new_only",
    "seeds",
    "budget",
    "strict",
    "strict_times",
    "full",
    "reference",
    "threads",
    "device",
    "window",
)
PROJECT = frozenset(
    {".py", ".toml", ".ini", ".cfg", ".jsonl", ".csv"}
)  # of files that decide what a project's cases are
DIGESTS = ("code", "project", "baselines' content", "hub's content")


def make_key(settings: Settings, root: Path, *, benchmarks: bool) -> dict[str, str]:
    """What the results of a run depend on besides their cases, by name: options, machine, versions, code, data, as digests.

    `root` is the project's folder, whose code and data count; `benchmarks` says whether cases are timed.
    """
    package = Path(pytest_ftcompare.__file__).parent
    methods = [
        file for entry in pytest_ftcompare.__path__ for file in Path(entry, "methods").rglob("*.py")
    ]
    own = [file for file in settings.project.methods.values() if file.is_file()]
    gpus = (
        gpu_assignment.visible(os.environ, gpu_assignment.count_gpus)
        if settings.device != "cpu"
        else []
    )
    return {
        **{name: str(getattr(settings, name)) for name in OPTIONS},
        "benchmarks": "on" if benchmarks else "off",
        "machine": f"{host.processor()}, Python {platform.python_version()}",
        "gpus": f"{len(gpus)}, driver {nvml.driver()}" if gpus else "none",
        "code": digest({*files(package), *methods, *own}),
        "project": digest(files(root, PROJECT)),
        "baselines' content": digest(settings.baselines.rglob("*.json")),
        "hub's content": _listed(settings.hub) if settings.hub is not None else "none",
        **versions(),
    }


def _listed(folder: Path) -> str:
    """A digest of names, sizes and times: models are too large to be read for this."""
    content = hashlib.sha256()
    for file in sorted(files(folder)):
        with suppress(OSError):
            found = file.stat()
            content.update(
                f"{file} {found.st_size} {found.st_mtime_ns}\n".encode(errors="surrogateescape")
            )
    return content.hexdigest()[:12]
