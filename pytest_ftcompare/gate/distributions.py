"""Record with each result the distributions of the environment that ran it.

A result has the digest of their lock. The text lies once in the run folder, for the session to
store it beside the baselines: `--ftcompare-reference=auto` makes the environment from it again.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from pytest_ftcompare.environments.lock import installed_lock
from pytest_ftcompare.environments.recorded_lock import recorded_lock
from pytest_ftcompare.results import atomic_write
from pytest_ftcompare.results.baseline_store import DISTRIBUTIONS, LOCKS
from pytest_ftcompare.results.result import Result, digest


# Reading the metadata of all distributions takes a tenth of a second.
@cache
def _lock_text(root: Path) -> str:
    return recorded_lock(installed_lock(), root).text()


def record_distributions(result: Result, folder: Path, root: Path) -> Result:
    """Return the result with the digest of this environment's lock, which the run folder gets.

    `root` is the project's folder.
    """
    text = _lock_text(root)
    name = digest(text)
    file = folder / LOCKS / f"{name}.txt"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write.write(file, text)
    return replace(result, environment=result.environment | {DISTRIBUTIONS: name})


def read_locks(folder: Path) -> dict[str, str]:
    """Return the texts of the locks in the run folder, by digest."""
    return {file.stem: file.read_text(encoding="utf-8") for file in (folder / LOCKS).glob("*.txt")}
