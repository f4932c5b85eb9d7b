"""List what lies between a good and a bad state: releases of a package or commits of a checkout."""

from __future__ import annotations

import re
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from pytest_ftcompare.upgrade.lock import Lock


class HistoryError(RuntimeError):
    """There is nothing to bisect between two ends; the message says why in one sentence."""


@dataclass(frozen=True)
class Entry:
    """A state of the history: what it is called, and its environment."""

    label: str
    lock: Lock


def releases_between(available: Sequence[str], good: str, bad: str) -> list[str]:
    """Return the releases from the good one to the bad one, in the order of their versions.

    They are public versions, or builds (such as +cpu) if both ends name the same one.
    """
    try:
        ends = [Version(good), Version(bad)]
        versions = {Version(Version(text).public): text.partition("+")[0] for text in available}
    except InvalidVersion as error:
        raise HistoryError(f"expected versions such as 0.20.0: {error}") from None
    build = f"+{ends[0].local}" if ends[0].local and ends[0].local == ends[1].local else ""
    first, last = (Version(end.public) for end in ends)
    for text, end in ((good, first), (bad, last)):
        if end not in versions:
            raise HistoryError(f"the index has no release {text}: it has {', '.join(available)}")
    low, high = min(first, last), max(first, last)
    texts = [versions[version] + build for version in sorted(versions) if low <= version <= high]
    return texts if first <= last else texts[::-1]


def _git(checkout: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(checkout), *arguments], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["git says nothing"])[0]
        raise HistoryError(f"{checkout}: {reason.removeprefix('fatal: ')}")
    return done.stdout.strip()


def commits_between(checkout: Path, good: str, bad: str) -> list[str]:
    """Return the commits from the good one to the bad one, along first parents."""
    first, last = (_git(checkout, "rev-parse", f"{name}^{{commit}}") for name in (good, bad))
    backwards = not _is_ancestor(checkout, first, last)
    if backwards:
        if not _is_ancestor(checkout, last, first):
            raise HistoryError(f"{checkout}: expected {good} and {bad} on one line of commits")
        first, last = last, first
    listed = _git(checkout, "rev-list", "--reverse", "--first-parent", f"{first}..{last}")
    commits = [first, *listed.splitlines()]
    # A commit of a merged branch is not before the first one listed, which would lack it.
    if commits[1:] and _first_parent(checkout, commits[1]) != first:
        older, newer = (bad, good) if backwards else (good, bad)
        raise HistoryError(
            f"{checkout}: expected a commit on {newer}'s line of first parents, {older} is on a "
            "branch that was merged: give the merge, or a commit before it"
        )
    return commits[::-1] if backwards else commits


def _first_parent(checkout: Path, commit: str) -> str:
    return _git(checkout, "log", "-1", "--format=%P", commit).partition(" ")[0]


def _is_ancestor(checkout: Path, first: str, second: str) -> bool:
    command = ["git", "-C", str(checkout), "merge-base", "--is-ancestor", first, second]
    return subprocess.run(command, capture_output=True).returncode == 0


def describe_commit(checkout: Path, commit: str) -> str:
    """Return a commit's short hash, date and subject."""
    return _git(checkout, "log", "-1", "--format=%h %cs %s", commit)


def files_of(checkout: Path, commit: str, folder: Path) -> Path:
    """Return a folder with the files of a commit; the checkout stays as it is."""
    place = folder / commit
    if not place.is_dir():
        unfinished = place.with_suffix(".unfinished")
        unfinished.mkdir(parents=True, exist_ok=True)
        archive = unfinished.with_suffix(".tar")
        _git(checkout, "archive", "--format=tar", f"--output={archive}", commit)
        with tarfile.open(archive) as files:
            files.extractall(unfinished, filter="data")
        archive.unlink()
        unfinished.rename(place)
    return place


def is_release(line: str) -> str:
    """Return the version of a line that installs a release, "" for any other line."""
    match = re.fullmatch(r"[^@ ]+==([^+ ]+)(\+\S+)?", line)
    return match[1] if match else ""
