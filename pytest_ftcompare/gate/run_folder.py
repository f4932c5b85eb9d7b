"""Manage run folders, which hold the results of a run's workers.

The plugin calls it. Folders are in pytest's cache, and stay for `--ftcompare-resume` if their run
dies. A session holds the lock beside its folder, which the operating system frees when the process
dies: a folder with a free lock belongs to a dead run. A run resumes only a folder with its own key
(resume_key.py).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pytest_ftcompare.gate.gpu_failures import FAILURES
from pytest_ftcompare.gate.machine_speed import SPEEDS_FILE
from pytest_ftcompare.gate.resume_key import DIGEST_NAMES, Key
from pytest_ftcompare.gate.run_cache import RESULTS, count_results, move_to_earlier
from pytest_ftcompare.results import atomic_write

# Folders of dead runs that are kept, the latest, chosen. A higher value uses more disk space.
MAX_DEAD_RUNS = 3
KEY_FILE = "run.json"
# Characters of an old and a new value together that a message prints, chosen. A higher value gives
# longer messages.
MAX_VALUE_LENGTH = 80


class ResumeError(ValueError):
    """A run cannot be resumed; the message says why."""


@dataclass
class RunFolder:
    """A run folder; `note` says what --ftcompare-resume did.

    `make_folder` creates the folder once there are cases to run, so a session without cases leaves
    nothing.
    """

    folder: Path
    # Held while the run lasts. A run without a lock cannot be resumed.
    lock: FileLock | None = field(default=None, repr=False)
    note: str = ""

    def close(self, *, finished: bool) -> None:
        """Remove the folder, unless the run can be resumed."""
        # Results of an earlier run that this one did not need can be resumed again.
        if finished:
            shutil.rmtree(self.folder / RESULTS, ignore_errors=True)
        removed = self.lock is None or self.result_count == 0
        if removed:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self.lock is not None:
            self.lock.release()
            if removed:
                _lock_path(self.folder).unlink(missing_ok=True)
                # The cache folder may hold other runs.
                with suppress(OSError):
                    self.folder.parent.rmdir()

    @property
    def result_count(self) -> int:
        """The number of results that a later run could reuse."""
        return count_results(self.folder) if self.lock is not None else 0


def start_run(cache: Path | None) -> RunFolder:
    """Choose and lock a folder for this run; without a cache, make a temporary one."""
    if cache is None:
        return RunFolder(Path(tempfile.mkdtemp(prefix="ftcompare-")))
    # Sessions that were killed before they had cases leave a lock without a folder.
    for orphan in cache.glob("*.lock"):
        with suppress(OSError, Timeout):
            if not orphan.with_suffix("").exists():
                with FileLock(orphan, timeout=0):
                    orphan.unlink()
    for lock, folder in _dead_runs(cache)[MAX_DEAD_RUNS - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        _lock_path(folder).unlink(missing_ok=True)
    folder = cache / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    lock = FileLock(_lock_path(folder))
    lock.acquire()
    return RunFolder(folder, lock)


def make_folder(folder: Path, make_key: Callable[[], Key]) -> None:
    """Make the folder of a run that has cases, and store its key there; every worker does."""
    file = folder / KEY_FILE
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        atomic_write.write(file, json.dumps({"started": started, "key": dict(make_key())}))


def resume(cache: Path | None, key: Key) -> RunFolder:
    """Take over the latest dead run's folder with results, or start a new one.

    Start a new one if there is none, or if its key differs; the note says which. A nightly job can
    always give the option, like pytest's --lf. Raise `ResumeError` without a cache.
    """
    if cache is None:
        raise ResumeError(
            "--ftcompare-resume: expected pytest's cache, where runs leave their results, "
            "it is off (-p no:cacheprovider)"
        )
    chosen = next(
        (
            (*dead_run, stored)
            for dead_run in _dead_runs(cache)
            if (stored := _read_key_file(dead_run[1])) and count_results(dead_run[1])
        ),
        None,
    )
    if chosen is None:
        return replace(start_run(cache), note="no run left anything to resume: all cases run")
    lock, folder, stored = chosen
    if differing := sorted(
        name for name in {*stored["key"], *key} if stored["key"].get(name) != key.get(name)
    ):
        changes = ", ".join(
            _describe_change(name, stored["key"].get(name, "none"), key.get(name, "none"))
            for name in differing
        )
        lock.release()
        return replace(
            start_run(cache),
            note=(
                f"does not resume the run of {stored['started']}, since then {changes}: "
                "all cases run"
            ),
        )
    # These are the status and failures of dead processes, and the machine's speed at that time.
    for stale in ("told", FAILURES):
        shutil.rmtree(folder / stale, ignore_errors=True)
    (folder / SPEEDS_FILE).unlink(missing_ok=True)
    count = move_to_earlier(folder)
    return RunFolder(
        folder,
        lock,
        f"resumes the run of {stored['started']}, which finished {count} case{'s' * (count != 1)}",
    )


def _describe_change(name: str, old: str, new: str) -> str:
    """Return such as "peft 0.20.0 -> 0.21.2", or "code changed" for digests and long values."""
    return (
        f"{name} {old} -> {new}"
        if len(old + new) < MAX_VALUE_LENGTH and name not in DIGEST_NAMES
        else f"{name} changed"
    )


def _read_key_file(folder: Path) -> dict[str, Any] | None:
    """Read a run's start and key; None if a crashed machine left no whole file."""
    try:
        stored = json.loads((folder / KEY_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stored if isinstance(stored, dict) and {"started", "key"} <= stored.keys() else None


def _lock_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _dead_runs(cache: Path) -> list[tuple[FileLock, Path]]:
    """Return the folders of dead runs, the latest first, and their locks.

    The locks are held as long as this list exists.
    """
    dead_runs = []
    for folder in sorted((path for path in cache.iterdir() if path.is_dir()), reverse=True):
        lock = FileLock(_lock_path(folder), timeout=0)
        try:
            lock.acquire()
        except Timeout:  # the run is alive
            continue
        dead_runs.append((lock, folder))
    return dead_runs
