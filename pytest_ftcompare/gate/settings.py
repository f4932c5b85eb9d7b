"""The settings of a session: its options and ini keys, checked. Made by plugin/options.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_ftcompare.gate.profiles import Profile
from pytest_ftcompare.gate.project_config import ProjectConfig


@dataclass(frozen=True)
class Settings:
    """What the options say, checked; plain values, so that workers see what the controller sees."""

    profile: Profile
    project: ProjectConfig
    hub: Path | None
    baselines: Path
    update: bool  # every case that runs
    new_only: bool  # only the cases that have no baseline to be held against
    seeds: int
    budget: int
    strict: bool
    strict_times: bool
    full: bool  # leave nothing out that is not needed for a verdict
    reference: Path | None  # the interpreter of an environment to time beside
    root: Path  # the project's folder
    threads: int
    device: str
    window: float
    reports: tuple[Path, ...]
    history: Path | None
    resume: bool
