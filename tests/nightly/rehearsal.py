"""Rehearse nights: the repository, its engineer, an upgrade with a fault, and the issue's text.

`test_rehearsal.py` runs a short one in CI. `python -m tests.nightly` runs the recipes in full.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import peft

from tests.nightly import hub
from tests.nightly.runner import DEFAULT_BRANCH, Run, Runner

ROOT = Path(__file__).parents[2]
PAGE = Path("docs", "nightly.md")
DEVICE = "pretended-gpu"
AUTHOR = {
    f"GIT_{role}_{name}": value
    for role in ("AUTHOR", "COMMITTER")
    for name, value in (("NAME", "Engineer"), ("EMAIL", "engineer@example.org"))
}


@dataclass(frozen=True)
class Scope:
    """What a rehearsal runs: an expression of -k, changes of the profile, layers of the models.

    `variables` are more variables of the runner.
    """

    cases: str
    profile: dict[str, Any]
    layers: int
    variables: dict[str, str] = field(default_factory=dict)


# A pretended GPU is sixteen times slower than a CPU: two cases that no window times, few seeds,
# epochs and layers. One worker, because -n auto would ask for free memory.
SHORT = Scope(
    "(few_shot and lora-cola-opt-125m-n16) or (peft_methods and bitfit-mnli-opt-350m-n32)",
    {"seeds": 3, "recipe": {"epochs": 8}},
    layers=1,
    variables={"PYTEST_XDIST_AUTO_NUM_WORKERS": "1"},
)
# The recipes' own epochs and two layers; the second and the last case are timed.
WHOLE = Scope(
    "(few_shot and (lora-cola-opt-125m-n16 or lora-cola-opt-125m-n2))"
    " or (peft_methods and bitfit-mnli-opt-350m-n32)"
    " or (instruction_tuning and lora-alpaca_en-Qwen2.5-1.5B)",
    {"seeds": 3, "window": 0.2},
    layers=2,
)
# LoRA's scale in peft, and what a fault makes of it.
FAULT = (
    "tuners/lora/layer.py",
    "self.scaling[adapter_name] = lora_alpha / r",
    "self.scaling[adapter_name] = lora_alpha * r",
)


class Rehearsal:
    """An engineer's checkout of the repository, a runner, and the repository's issues."""

    def __init__(self, folder: Path, scope: Scope) -> None:
        self.folder = folder
        self.checkout = folder / "engineer"
        data = hub.make(folder / "hub", scope.layers)
        self.runner = Runner(
            folder / "runner",
            self.checkout,
            {"FTCOMPARE_HUB": str(data), "HF_HUB_OFFLINE": "1", **scope.variables},
        )
        self._make_repository(scope)

    def _make_repository(self, scope: Scope) -> None:
        """Commit this project's files, with their uncommitted changes, and the scope."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\0")
        for name in filter(None, listed):
            if os.path.lexists(ROOT / name):
                (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.checkout / name, follow_symlinks=False)
        project = self.checkout / "pyproject.toml"
        text = project.read_text(encoding="utf-8")
        options = 'addopts = "--strict-markers"'
        assert options in text
        text = text.replace(options, f"addopts = ['--strict-markers', '-k', '{scope.cases}']")
        table = "".join(f"{name} = {_toml(value)}\n" for name, value in scope.profile.items())
        project.write_text(f"{text}\n[tool.ftcompare.profiles.nightly]\n{table}", encoding="utf-8")
        self.git("init", "--quiet", f"--initial-branch={DEFAULT_BRANCH}")
        self.git("add", "--all")
        self.commit("A few cases, with less of each")

    def git(self, *arguments: str) -> str:
        """Run git in the engineer's checkout and return what it printed."""
        return self.shell(shlex.join(["git", *arguments]))

    def commit(self, message: str) -> None:
        """Commit what git already tracks: the reports that the engineer downloads stay out."""
        self.git("commit", "--quiet", "--all", f"--message={message}")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text in a file of the checkout, and commit it."""
        file = self.checkout / name
        text = file.read_text(encoding="utf-8")
        assert old in text, f"expected {old!r} in {file}"
        file.write_text(text.replace(old, new), encoding="utf-8")
        self.commit(f"{name}: {new}")

    def shell(self, command: str) -> str:
        """Run a command of the engineer and return its output."""
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            cwd=self.checkout,
            env={**self.runner.environment(), **AUTHOR},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def page_commands(self, heading: str) -> list[str]:
        """Return the commands in a section of docs/nightly.md, as they are written there."""
        page = (self.checkout / PAGE).read_text(encoding="utf-8")
        section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
        return re.findall(r"^    (\S.*)$", section, re.MULTILINE)

    def make_baselines(self) -> Run:
        """Run the first night, and commit its baselines by the commands of the page."""
        start, *accept = self.page_commands("The first night")
        self.shell(start)
        requested = self.github_state()["requested"]
        run = self.runner.run(requested["inputs"], requested["ref"] or DEFAULT_BRANCH)
        for command in accept:
            self.shell(command.replace("RUN", str(run.number)))
        python = self.runner.folder / "home" / "ftcompare" / "venv" / "bin" / "python"
        constraints = f"baselines/{DEVICE}/constraints.txt"
        self.shell(f"{python} -m pip freeze --exclude-editable > {constraints}")
        self.git("add", constraints)
        self.commit("Baselines of the pretended GPU")
        return run

    def github_state(self) -> dict[str, Any]:
        """Return the labels, the issues and the requested run, as the stand-in for gh has them."""
        state: dict[str, Any] = json.loads((self.runner.github / "state.json").read_text())
        return state

    def kill_the_next_run(self) -> None:
        """Have a signal kill the next run of pytest after its first case."""
        marker = self.folder / "killed"
        marker.unlink(missing_ok=True)
        self.runner.variables = {
            **self.runner.variables,
            "PYTEST_PLUGINS": "tests.nightly.killed_once",
            "KILLED_ONCE": str(marker),
        }

    def upgrade_peft(self, fault: tuple[str, str, str]) -> str:
        """Pin a later peft with a fault (file, old, new) in it, and return its version."""
        installed = distribution("peft").version
        version = f"{installed}.post1"
        target = self.runner.folder / "wheels" / f"peft-{version}"
        source = Path(peft.__file__).parent
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target / "peft", ignore=ignored)
        metadata = target / f"peft-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: peft\nVersion: {version}\n")
        name, old, new = fault
        file = target / "peft" / name
        text = file.read_text(encoding="utf-8")
        assert old in text, f"expected {old!r} in {file}"
        file.write_text(text.replace(old, new), encoding="utf-8")
        constraints = self.checkout / "baselines" / DEVICE / "constraints.txt"
        pins = constraints.read_text(encoding="utf-8")
        constraints.write_text(pins.replace(f"peft=={installed}\n", f"peft=={version}\n"))
        self.commit(f"peft {version}")
        return version


def _toml(value: Any) -> str:
    """Return a number or a flat table of numbers as TOML."""
    if not isinstance(value, dict):
        return str(value)
    return f"{{{', '.join(f'{name} = {number}' for name, number in value.items())}}}"
