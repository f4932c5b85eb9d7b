"""List what lies between a good and a bad state: releases of a package or commits of a checkout."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from pytest_ftcompare.environments.checkout import git
from pytest_ftcompare.environments.lock import Lock


class HistoryError(RuntimeError):
    """There is nothing to bisect between two ends; the message says why in one sentence."""


@dataclass(frozen=True)
class Entry:
    """A state of the history: what it is called, and its environment.

    `commit_of` is the name of the distribution that is a copy of a commit, "" for none.
    """

    label: str
    lock: Lock
    commit_of: str = ""

    @property
    def key(self) -> str:
        """What the entry's results depend on, as a digest."""
        return self.lock.content_digest(self.commit_of)


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


def commits_between(checkout: Path, good: str, bad: str) -> list[str]:
    """Return the commits from the good one to the bad one, along first parents."""
    first, last = (git(checkout, "rev-parse", f"{name}^{{commit}}") for name in (good, bad))
    backwards = not _is_ancestor(checkout, first, last)
    if backwards:
        if not _is_ancestor(checkout, last, first):
            raise HistoryError(f"{checkout}: expected {good} and {bad} on one line of commits")
        first, last = last, first
    listed = git(checkout, "rev-list", "--reverse", "--first-parent", f"{first}..{last}")
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
    return git(checkout, "log", "-1", "--format=%P", commit).partition(" ")[0]


def _is_ancestor(checkout: Path, first: str, second: str) -> bool:
    command = ["git", "-C", str(checkout), "merge-base", "--is-ancestor", first, second]
    return subprocess.run(command, capture_output=True).returncode == 0
