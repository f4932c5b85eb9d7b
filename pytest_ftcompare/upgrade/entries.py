"""Make a history's entries: a package's releases, or a checkout's commits, each with its lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from pytest_ftcompare.environments.checkout import describe_commit, files_of
from pytest_ftcompare.environments.installer import Installer
from pytest_ftcompare.environments.lock import Lock, installed_lock
from pytest_ftcompare.environments.release_info import changelog_link, release_dates
from pytest_ftcompare.environments.requirements import resolve
from pytest_ftcompare.upgrade.history import Entry, commits_between, releases_between


@dataclass(frozen=True)
class Entries:
    """A history: what each entry is called, its environment, and where its changes are told.

    `make` resolves an entry only when it is needed.
    """

    labels: Sequence[str]
    make: Callable[[int], Entry]
    link: str = ""


def of_package(name: str, good: str, bad: str, base: Lock, installer: Installer) -> Entries:
    """Return the releases between two, each in the environment of `base`."""
    here = installed_lock()
    versions = releases_between(installer.versions(name), good, bad)
    dates = release_dates(name, installer.index())

    def label(version: str) -> str:
        day = dates.get(Version(version).public, "")
        return f"{name} {version}{f' of {day}' if day else ''}"

    labels = [label(version) for version in versions]

    def make(number: int) -> Entry:
        requirement = f"{name}=={versions[number]}"
        lines = resolve([requirement], installer)
        # What is installed already is not reported.
        lines.setdefault(name, here.lines.get(name, requirement))
        if base != here:
            # The other versions stay as they are in `base`, so only what it lacks is added.
            lines = {
                key: line for key, line in lines.items() if key == name or key not in base.lines
            }
        return Entry(labels[number], base.overlaid(lines))

    return Entries(labels, make, changelog_link(name))


def of_checkout(checkout: Path, good: str, bad: str, installer: Installer, folder: Path) -> Entries:
    """Return the commits between two, each copied to `folder`, in this environment."""
    here, commits = installed_lock(), commits_between(checkout, good, bad)
    labels = [describe_commit(checkout, commit) for commit in commits]

    def make(number: int) -> Entry:
        place = files_of(checkout, commits[number], folder)
        lines = resolve([f"-e {place}"], installer)
        copied = next((name for name, line in lines.items() if line == f"-e {place}"), "")
        return Entry(labels[number], here.overlaid(lines), copied)

    return Entries(labels, make)
