"""What a result ran on: versions, device, instruction set, threads, commit and the code under test."""

from __future__ import annotations

import ast
import importlib
import os
import platform
import subprocess
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

SHARED = (
    "__init__",
    "contents",
    "split_overlap",
    "rouge",
    "judge",
)  # files of tasks/ that every task uses
MACHINE = (
    "FTCOMPARE_MACHINE"  # a name that its user gives to a machine, or to a fleet of equal ones
)


def device_name(device: str) -> str:
    """ "cpu", or the GPU's name as a folder name: "nvidia-h200"."""
    if device == "cpu":
        return "cpu"
    return torch.cuda.get_device_name(device).lower().replace(" ", "-")


@cache
def _commit(folder: Path) -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "+edits" if git("status", "--porcelain", "-uno") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _builds_on(method: str) -> list[Path]:
    """The method's file, then those in `methods/` that it imports, wherever it does, and those that they import."""
    found = [importlib.import_module("pytest_ftcompare.methods").file_of(method)]
    for file in found:  # grows while it is read
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level and node.module:
                imported = file.parents[node.level - 1] / f"{node.module.replace('.', '/')}.py"
                if imported not in found and imported.is_file() and imported.stem != "base":
                    found.append(imported)
    return found


def code(method: str, task: str) -> dict[str, str]:
    """Digests of the files that a case executes, so that an edit can be named."""
    package = Path(pytest_ftcompare.__file__).parent
    methods = next(
        Path(entry) / "methods"
        for entry in pytest_ftcompare.__path__
        if (Path(entry) / "methods").is_dir()
    )
    own, *others = _builds_on(method)
    file = f"methods/{own.name}"
    tasks = package / "tasks"
    asked = tasks / f"{task}.py"
    own_files = [tasks / "custom.py", tasks / "labels.py"]
    judge = load(task).score
    return {
        file: digest([own]),
        **({f"what {file} builds on": digest(others)} if others else {}),
        "methods/base.py": digest([methods / "base.py"]),
        f"pytest_ftcompare/tasks/{task}.py": digest([asked] if asked.is_file() else own_files),
        **({f"judge {judge.file.name}": digest([judge.file])} if isinstance(judge, Judge) else {}),
        "pytest_ftcompare/tasks/base.py": digest([tasks / "base.py"]),
        "what pytest_ftcompare/tasks share": digest(tasks / f"{name}.py" for name in SHARED),
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
    """The environment as a flat table of names and values."""
    found: dict[str, str | int] = {
        "commit": _commit(Path(pytest_ftcompare.__file__).parents[1]),
        "cpu": host.processor(),
        "device": device_name(config.device),
        "instruction set": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
    }
    if name := os.environ.get(MACHINE):
        found["machine"] = name
    if config.device != "cpu":
        found["cuda"] = torch.version.cuda or "none"
    return found | versions() | code(method, task)
