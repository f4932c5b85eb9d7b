"""The settings of a session: its options and ini keys, checked. Made by plugin/options.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pytest_ftcompare.gate.profiles import Profile
from pytest_ftcompare.gate.project_config import ProjectConfig
from pytest_ftcompare.gate.reference import Reference
from pytest_ftcompare.results.allowance import Allowance


@dataclass(frozen=True)
class Settings:
    """The checked options, as plain values, so that workers and controller have the same."""

    profile: Profile
    project: ProjectConfig
    hub: Path | None
    baselines: Path
    update: bool  # write a baseline for every case that runs
    new_only: bool  # write a baseline only for cases without a comparable one
    seeds: int
    budget: int
    strict: bool
    strict_times: bool
    provisional: bool  # new baselines are for one comparison: without times and audits
    full: bool  # train and time everything, even if no verdict needs it
    reference: Reference | None
    root: Path  # the project's folder
    threads: int
    device: str
    window: float
    reports: tuple[Path, ...]
    history: Path | None
    resume: bool
    accept_file: Path | None = None
    allowances: tuple[Allowance, ...] = ()  # of the accept file
    today: date = date.min  # on which allowances expire or not
