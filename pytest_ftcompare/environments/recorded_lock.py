"""Write a lock for another machine, without paths of this one, and make a lock from it again.

Baselines record such a text (gate/distributions.py), and a reference is made from it
(gate/remade_reference.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from pytest_ftcompare.environments.lock import Lock, path_of
from pytest_ftcompare.measure.library_versions import PACKAGES

PACKAGE = "pytest-ftcompare"
# The URL of a folder or a file of this machine, also with a version control system before it.
LOCAL_URL = re.compile(r"(\w+\+)?file:")


class RecordedLockError(RuntimeError):
    """A recorded lock cannot be made again; the message says why in one sentence."""


def own_lines(lock: Lock, root: Path) -> dict[str, str]:
    """Return the lines of checkouts with the code of this package, or of the project at `root`.

    A baseline has the digests of the files that its case executes, so that its lock leaves these
    checkouts out. A library whose version a baseline records is none, even if the project is it.
    """
    checkouts = {
        name: Path(line.removeprefix("-e ")).resolve()
        for name, line in lock.lines.items()
        if line.startswith("-e ") and name not in PACKAGES
    }
    return {
        name: lock.lines[name]
        for name, folder in checkouts.items()
        if name == PACKAGE or root.resolve().is_relative_to(folder)
    }


def recorded_lock(lock: Lock, root: Path) -> Lock:
    """Return a lock without its own code and without paths: `-e peft`, `peft @ file:peft.whl`."""
    own = own_lines(lock, root)
    return Lock(
        {name: _without_path(name, line) for name, line in lock.lines.items() if name not in own}
    )


def _without_path(name: str, line: str) -> str:
    if line.startswith("-e "):
        return f"-e {name}"
    url = line.partition(" @ ")[2]
    match = LOCAL_URL.match(url)
    return f"{name} @ {match[0]}{path_of(url).name}" if match else line


def parse(text: str) -> Lock:
    """Return the recorded lock in a text."""
    lines: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name = line.removeprefix("-e ").partition("==")[0].partition(" @ ")[0]
        lines[canonicalize_name(name)] = line
    return Lock(lines)


def remade(recorded: Lock, here: Lock, unchanged: Collection[str]) -> dict[str, str]:
    """Return the lines that install what a recorded lock names.

    `unchanged` are names of checkouts whose content is this environment's. Raise
    `RecordedLockError` for another checkout or a local file.
    """
    return {
        name: _remade(name, line, here.lines, unchanged) for name, line in recorded.lines.items()
    }


def _remade(name: str, line: str, here: Mapping[str, str], unchanged: Collection[str]) -> str:
    if line.startswith("-e "):
        if name in unchanged and here.get(name, "").startswith("-e "):
            return here[name]
        raise RecordedLockError(
            f"{name} was an edited checkout when its baseline was made, which cannot be made again"
        )
    if LOCAL_URL.match(line.partition(" @ ")[2]):
        raise RecordedLockError(f"{name} was installed from a local file for its baseline")
    return line
