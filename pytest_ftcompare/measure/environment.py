"""Record what a result ran on: versions, device, instruction set, threads, commit and source code.

The gate stores the environment with each result. A comparison names the entries that differ.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch

import pytest_ftcompare
from pytest_ftcompare.measure import host
from pytest_ftcompare.measure.library_versions import versions
from pytest_ftcompare.measure.source_digest import digest
from pytest_ftcompare.tasks import load
from pytest_ftcompare.tasks.judge import Judge
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.torch_settings import describe_gpu_settings

METHODS = "pytest_ftcompare.methods"
# Folders of libraries, whose versions are recorded.
LIBRARIES = frozenset({"site-packages", "dist-packages"})
# Files of tasks/ that every task uses.
SHARED_TASK_FILES = ("__init__", "contents", "split_overlap", "rouge", "judge")
# The user's name for a machine, or for a fleet of equal machines.
MACHINE_VARIABLE = "FTCOMPARE_MACHINE"


def device_name(device: str) -> str:
    """Return "cpu", or the GPU's name in a form for folders, such as "nvidia-h200"."""
    if device == "cpu":
        return "cpu"
    name: str = torch.get_device_module(device).get_device_name(device)
    return name.lower().replace(" ", "-")


@cache
def _commit(folder: Path) -> str:
    """Return the commit, with "+edits" if tracked files were changed; "unknown" without git."""

    def git(*arguments: str) -> str:
        completed = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
        return completed.stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "+edits" if git("status", "--porcelain", "-uno") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _with_imports(first: Path) -> list[Path]:
    """Return a method's or a judge's file and the files that it imports, also indirectly.

    These are files in `methods/`, and in the project of a file that is a project's own.
    """
    methods = Path(importlib.import_module(METHODS).__file__ or "").parent
    project = next((path for path in first.parents if (path / "pyproject.toml").is_file()), methods)
    paths = [first]
    # The list grows during the loop, so that imported files are searched too.
    for file in paths:
        for imported in _imported_files(file, methods, project):
            if imported not in paths and imported != methods / "base.py":
                paths.append(imported)
    return paths


def _imported_files(file: Path, methods: Path, project: Path) -> Iterator[Path]:
    """Yield the files in two folders that a file imports. Nothing is imported here."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [
                node.module or "",
                *(f"{node.module or ''}.{alias.name}" for alias in node.names),
            ]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if isinstance(node, ast.ImportFrom) and node.level:
                yield from _module_files(file.parents[node.level - 1], name)
            elif name.startswith(f"{METHODS}."):
                yield from _module_files(methods, name.removeprefix(f"{METHODS}."))
            elif folder := _folder_in(project, name.partition(".")[0]):
                yield from _module_files(folder, name)


def _folder_in(project: Path, package: str) -> Path | None:
    """Return the folder that holds a module or package of the project's own, else None."""
    if package in sys.stdlib_module_names or package == METHODS.partition(".")[0]:
        return None
    try:
        spec = importlib.util.find_spec(package)
    # The name of a file that runs as a program, or an empty one.
    except ValueError:
        return None
    places = [*(spec.submodule_search_locations or ()), spec.origin or ""] if spec else []
    for place in map(Path, places):
        if place.is_relative_to(project) and not LIBRARIES & set(place.parts):
            return place.parent
    return None


def _module_files(folder: Path, name: str) -> Iterator[Path]:
    """Yield the files below `folder` that importing a module runs: its packages' and its own."""
    for part in name.strip(".").split("."):
        if (folder / f"{part}.py").is_file():
            yield folder / f"{part}.py"
            return
        folder /= part
        if (folder / "__init__.py").is_file():
            yield folder / "__init__.py"


def source_digests(method: str, task: str) -> dict[str, str]:
    """Return digests of the source files that a case runs, so that a report can name an edit."""
    package = Path(pytest_ftcompare.__file__).parent
    methods = next(
        Path(entry) / "methods"
        for entry in pytest_ftcompare.__path__
        if (Path(entry) / "methods").is_dir()
    )
    method_file, *imported = _with_imports(importlib.import_module(METHODS).file_of(method))
    file = f"methods/{method_file.name}"
    tasks = package / "tasks"
    task_file = tasks / f"{task}.py"
    custom_files = [tasks / "custom.py", tasks / "labels.py"]
    judge = load(task).score
    return {
        file: digest([method_file]),
        **({f"what {file} builds on": digest(imported)} if imported else {}),
        "methods/base.py": digest([methods / "base.py"]),
        f"pytest_ftcompare/tasks/{task}.py": digest(
            [task_file] if task_file.is_file() else custom_files
        ),
        **(
            {f"judge {judge.file.name}": digest(_with_imports(judge.file))}
            if isinstance(judge, Judge)
            else {}
        ),
        "pytest_ftcompare/tasks/base.py": digest([tasks / "base.py"]),
        "what pytest_ftcompare/tasks share": digest(
            tasks / f"{name}.py" for name in SHARED_TASK_FILES
        ),
        "pytest_ftcompare/gate/torch_case.py": digest([package / "gate" / "torch_case.py"]),
        "pytest_ftcompare/gate/shared_inspection.py": digest(
            [package / "gate" / "shared_inspection.py"]
        ),
        "pytest_ftcompare/tasks/files": digest((tasks / "files").glob("*.py")),
        "pytest_ftcompare/tasks/hub.py": digest([tasks / "hub.py"]),
        "pytest_ftcompare/results/result.py": digest([package / "results" / "result.py"]),
        "pytest_ftcompare/training": digest((package / "training").glob("*.py")),
        "pytest_ftcompare/checks": digest((package / "checks").glob("*.py")),
        "pytest_ftcompare/measure": digest((package / "measure").glob("*.py")),
    }


def capture(config: TrainingConfig, method: str, task: str) -> dict[str, str | int]:
    """Return the environment as a flat mapping from names to values."""
    environment: dict[str, str | int] = {
        "commit": _commit(Path(pytest_ftcompare.__file__).parents[1]),
        "cpu": host.processor(),
        "device": device_name(config.device),
        "instruction set": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
    }
    if name := os.environ.get(MACHINE_VARIABLE):
        environment["machine"] = name
    if config.precision != "float32":
        environment["precision"] = config.precision
    if config.device == "cpu":
        environment["threads"] = torch.get_num_threads()
    else:
        # The host's threads compute nothing on a GPU, and follow from the number of workers.
        environment["cuda"] = torch.version.cuda or "none"
        environment |= describe_gpu_settings()
    return environment | versions() | source_digests(method, task)
