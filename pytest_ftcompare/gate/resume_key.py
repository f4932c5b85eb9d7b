"""Make the key of a run: all that its results depend on besides their cases.

A run resumes another only if their keys are equal (run_folder.py).
"""

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
from pytest_ftcompare.measure.library_versions import digest, package_files, versions

Key = Mapping[str, str]
# Fields of `Settings` that results depend on.
KEY_OPTIONS = (
    "profile",
    "hub",
    "baselines",
    "update",
    "new_only",
    "seeds",
    "budget",
    "strict",
    "strict_times",
    "provisional",
    "full",
    "reference",
    "threads",
    "device",
    "window",
)
# Suffixes of the files that define a project's cases, besides the data of its tasks.
PROJECT_SUFFIXES = frozenset({".py", ".toml", ".ini", ".cfg", ".jsonl", ".csv"})
# Names of key entries that are digests, which messages do not print.
DIGEST_NAMES = ("code", "project", "baselines' content", "hub's content")


def make_key(settings: Settings, root: Path, *, benchmarks: bool) -> dict[str, str]:
    """Return options, machine, versions, and digests of code and data, by name.

    `root` is the project's folder. `benchmarks` is true if cases are timed.
    """
    package = Path(pytest_ftcompare.__file__).parent
    methods = [
        file for entry in pytest_ftcompare.__path__ for file in Path(entry, "methods").rglob("*.py")
    ]
    project_methods = [file for file in settings.project.methods.values() if file.is_file()]
    gpus = (
        gpu_assignment.visible_gpus(os.environ, gpu_assignment.count_gpus)
        if settings.device != "cpu"
        else []
    )
    # A GPU's results do not depend on the host's threads, which follow from the number of workers.
    # The workers of a killed run may still hold memory, so that -n auto starts fewer.
    options = [name for name in KEY_OPTIONS if not (gpus and name == "threads")]
    return {
        **{name: str(getattr(settings, name)) for name in options},
        "benchmarks": "on" if benchmarks else "off",
        "machine": f"{host.processor()}, Python {platform.python_version()}",
        # Their number may fall when one is lost, and the finished results stay.
        "gpus": f"driver {nvml.driver()}" if gpus else "none",
        "code": digest({*package_files(package), *methods, *project_methods}),
        # Allowances are applied to the results of a resumed run again.
        "project": digest(
            {*package_files(root, PROJECT_SUFFIXES), *settings.project.data_files()}
            - {settings.accept_file}
        ),
        "baselines' content": digest(settings.baselines.rglob("*.json")),
        "hub's content": _digest_of_file_list(settings.hub) if settings.hub is not None else "none",
        **versions(),
    }


def _digest_of_file_list(folder: Path) -> str:
    """Return a digest of names, sizes and times, because models are too large to read."""
    content = hashlib.sha256()
    for file in sorted(package_files(folder)):
        with suppress(OSError):
            status = file.stat()
            content.update(
                f"{file} {status.st_size} {status.st_mtime_ns}\n".encode(errors="surrogateescape")
            )
    return content.hexdigest()[:12]
