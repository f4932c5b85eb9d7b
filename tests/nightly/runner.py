"""Run the steps of a workflow in order, as GitHub's runner does, with stand-ins for its actions.

What this runner does not know it refuses: other keys, actions, expressions and commands.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.nightly.expressions import Evaluator, Value

BIN = Path(__file__).parent / "bin"
JOB_KEYS = {"runs-on", "timeout-minutes", "permissions", "env", "steps"}
STEP_KEYS = {"name", "uses", "with", "if", "env", "run"}
# https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax, shell: bash
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
# Variables of the caller that a runner's service would have too.
INHERITED = ("LANG", "TMPDIR")
DEFAULT_BRANCH = "main"


class WorkflowError(ValueError):
    """A workflow that needs more than this runner knows."""


@dataclass
class Run:
    """A run of the job: its outcome, each step's output, its summary, and its artifacts' folder."""

    number: int
    artifacts: Path
    succeeded: bool = True
    output: dict[str, str] = field(default_factory=dict)
    summary: str = ""


@dataclass
class Runner:
    """A runner's machine and its GitHub repository, all below `folder`.

    `variables` are those of the runner's `.env`.
    """

    folder: Path
    repository: Path
    variables: Mapping[str, str]
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "home").mkdir(parents=True)
        self.github.mkdir()

    @property
    def workspace(self) -> Path:
        return self.folder / "work" / "repository"

    @property
    def github(self) -> Path:
        """The folder of the stand-in for gh: issues, and each run's artifacts."""
        return self.folder / "github"

    def environment(self) -> dict[str, str]:
        """Return the variables that each step has before its own."""
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return {
            **inherited,
            "PATH": os.pathsep.join([str(BIN), os.environ["PATH"]]),
            "HOME": str(self.folder / "home"),
            "GITHUB_FOLDER": str(self.github),
            "INSTALLED_PYTHON": sys.executable,
            "WHEELS": str(self.folder / "wheels"),
            **self.variables,
        }

    def run(self, inputs: Mapping[str, str] | None = None, ref: str = DEFAULT_BRANCH) -> Run:
        """Run nightly.yml at a branch: on its schedule, or by hand with `inputs`."""
        number = len(self.runs) + 1
        self.runs.append(Run(number, self.github / f"run-{number}"))
        self._check_out(ref)
        file = self.workspace / ".github" / "workflows" / "nightly.yml"
        workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
        (job,) = workflow["jobs"].values()
        if unknown := set(job) - JOB_KEYS:
            raise WorkflowError(f"expected a job of {', '.join(sorted(JOB_KEYS))}, got {unknown}")
        if workflow["defaults"] != {"run": {"shell": "bash"}}:
            raise WorkflowError(f"expected bash as default shell, got {workflow['defaults']}")
        _Job(self, self.runs[-1], job, _contexts(workflow, inputs, ref)).run()
        return self.runs[-1]

    def _check_out(self, ref: str) -> None:
        """Clone the repository's branch as actions/checkout does: one commit, nothing else."""
        shutil.rmtree(self.workspace, ignore_errors=True)
        subprocess.run(
            [
                *("git", "clone", "--quiet", "--depth=1", "--branch", ref),
                *(f"file://{self.repository}", str(self.workspace)),
            ],
            check=True,
        )


def _contexts(
    workflow: Mapping[Any, Any], inputs: Mapping[str, str] | None, ref: str
) -> dict[str, Value]:
    """Return the contexts github and inputs of a run by hand, or of the schedule (None)."""
    # YAML reads the key `on` as true.
    declared = workflow[True]["workflow_dispatch"]["inputs"]
    if unknown := set(inputs or {}) - set(declared):
        raise WorkflowError(f"expected inputs of {', '.join(declared)}, got {unknown}")
    by_hand = inputs is not None
    values: dict[str, Value] = {
        f"inputs.{name}": {**{name: value["default"]}, **(inputs or {})}[name] if by_hand else None
        for name, value in declared.items()
    }
    return values | {
        "github.event_name": "workflow_dispatch" if by_hand else "schedule",
        "github.ref_name": ref,
        # The schedule's event has no repository (docker/metadata-action#184).
        "github.event.repository.default_branch": DEFAULT_BRANCH if by_hand else None,
        "github.repository": "us/gate",
        "github.server_url": "https://github.example",
        "github.token": "a-token",
        "github.run_attempt": "1",
    }


@dataclass
class _Job:
    """A job's state: contexts, variables of GITHUB_ENV, and whether a step failed."""

    runner: Runner
    result: Run
    job: Mapping[str, Any]
    contexts: dict[str, Value]
    environment: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        self.contexts["github.run_id"] = str(self.result.number)
        self.contexts["job.status"] = "success"
        evaluator = self._evaluator()
        for name, value in self.job["env"].items():
            self._set(name, evaluator.substitute(value))
        for step in self.job["steps"]:
            if unknown := set(step) - STEP_KEYS:
                raise WorkflowError(f"expected a step of {', '.join(STEP_KEYS)}, got {unknown}")
            if self._evaluator().condition(step.get("if")) and not self._run_step(step):
                self.result.succeeded = False
                self.contexts["job.status"] = "failure"

    def _evaluator(self) -> Evaluator:
        succeeded = self.result.succeeded
        functions = {
            "success": lambda: succeeded,
            "failure": lambda: not succeeded,
            "always": lambda: True,
        }
        return Evaluator(self.contexts, functions)

    def _set(self, name: str, value: str) -> None:
        self.environment[name] = value
        self.contexts[f"env.{name}"] = value

    def _run_step(self, step: Mapping[str, Any]) -> bool:
        """Run a step and return whether it succeeded."""
        if "run" in step:
            return self._run_script(step)
        action, arguments = step["uses"].partition("@")[0], step["with"]
        if action == "actions/upload-artifact":
            name = self._evaluator().substitute(arguments["name"])
            return self._upload(self.result.artifacts / name, arguments["path"].split())
        # The job's checkout comes before its file is read.
        if action != "actions/checkout":
            raise WorkflowError(f"expected actions/checkout or upload-artifact, got {action}")
        return True

    def _run_script(self, step: Mapping[str, Any]) -> bool:
        folder = self.runner.folder / "temporary"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in ("env", "summary"):
            (folder / name).touch()
        (folder / "script.sh").write_text(step["run"], encoding="utf-8")
        own = {
            name: self._evaluator().substitute(value) for name, value in step.get("env", {}).items()
        }
        done = subprocess.run(
            [*BASH, str(folder / "script.sh")],
            cwd=self.runner.workspace,
            env={
                **self.runner.environment(),
                **{"CI": "true", "GITHUB_ACTIONS": "true"},
                "GITHUB_ENV": str(folder / "env"),
                "GITHUB_STEP_SUMMARY": str(folder / "summary"),
                **self.environment,
                **own,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.result.output[step["name"]] = done.stdout
        self.result.summary += (folder / "summary").read_text(encoding="utf-8")
        for line in (folder / "env").read_text(encoding="utf-8").splitlines():
            name, equals, value = line.partition("=")
            if not equals or "<<" in name:
                raise WorkflowError(f"expected NAME=value in GITHUB_ENV, got {line!r}")
            self._set(name, value)
        return done.returncode == 0

    def _upload(self, target: Path, patterns: list[str]) -> bool:
        """Copy what the patterns match; without any file, the action warns and succeeds."""
        target.mkdir(parents=True)
        for pattern in patterns:
            for file in self.runner.workspace.glob(pattern):
                shutil.copy2(file, target)
        return True
