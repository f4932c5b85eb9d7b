"""The folder of a run, in which its workers leave results; of a run that dies it stays, for `--ftcompare-resume`.

Folders lie in pytest's cache. Whoever runs holds the lock beside its folder, which the operating system frees when the process
dies: so a folder whose lock is free was left behind. What a result depends on besides its case is the run's `key`; a folder
is resumed only by a run with the same.
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

from pytest_ftcompare.gate.machine_speed import SPEEDS_FILE
from pytest_ftcompare.gate.resume_key import DIGEST_NAMES, Key
from pytest_ftcompare.gate.run_cache import RESULTS, count_results, move_to_earlier
from pytest_ftcompare.results import atomic_write

MAX_DEAD_RUNS = 3  # folders of dead runs that are kept, the latest
KEY = "run.json"
SHORT = 80  # characters of two values that are told


class ResumeError(ValueError):
    """There is nothing to go on with; the message says why."""


@dataclass
class RunFolder:
    """A run's folder, and what --ftcompare-resume made of it, in words.

    It is made once there are cases to run (`begin`): a session without any leaves nothing.
    """

    folder: Path
    lock: FileLock | None = field(
        default=None, repr=False
    )  # held; a run without one cannot be resumed
    note: str = ""

    def close(self, *, finished: bool) -> None:
        """Remove the folder; of a run that did not finish it stays where it can be resumed."""
        if finished:  # but not what an earlier run left, if this one did not ask for it
            shutil.rmtree(self.folder / RESULTS, ignore_errors=True)
        gone = self.lock is None or self.result_count == 0
        if gone:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self.lock is not None:
            self.lock.release()
            if gone:
                _lock_of(self.folder).unlink(missing_ok=True)
                with suppress(OSError):  # not empty
                    self.folder.parent.rmdir()

    @property
    def result_count(self) -> int:
        """How many results would be found in this folder again."""
        return count_results(self.folder) if self.lock is not None else 0


def start_run(cache: Path | None) -> RunFolder:
    """A place for this run; without a cache one that goes with the run."""
    if cache is None:
        return RunFolder(Path(tempfile.mkdtemp(prefix="ftcompare-")))
    for orphan in cache.glob("*.lock"):  # of sessions that were killed before they had cases
        with suppress(OSError, Timeout):
            if not orphan.with_suffix("").exists():
                with FileLock(orphan, timeout=0):
                    orphan.unlink()
    for lock, folder in _left(cache)[MAX_DEAD_RUNS - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        _lock_of(folder).unlink(missing_ok=True)
    folder = cache / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    lock = FileLock(_lock_of(folder))
    lock.acquire()
    return RunFolder(folder, lock)


def make_folder(folder: Path, make_key: Callable[[], Key]) -> None:
    """Make the folder of a run that has cases, and leave in it what its results will depend on; every worker does."""
    file = folder / KEY
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        atomic_write.write(file, json.dumps({"started": started, "key": dict(make_key())}))


def resume(cache: Path | None, key: Key) -> RunFolder:
    """The latest folder that a dead run left with results in it; a new one where there is none, or of another key.

    Like pytest's --lf, which runs all where nothing failed: a nightly job can give the option always.
    """
    if cache is None:
        raise ResumeError(
            "--ftcompare-resume: expected pytest's cache, where runs leave their results, it is off (-p no:cacheprovider)"
        )
    chosen = next(
        (
            (*one, kept)
            for one in _left(cache)
            if (kept := _about(one[1])) and count_results(one[1])
        ),
        None,
    )
    if chosen is None:
        return replace(start_run(cache), note="no run left anything to resume: all cases run")
    lock, folder, kept = chosen
    if differing := sorted(
        name for name in {*kept["key"], *key} if kept["key"].get(name) != key.get(name)
    ):
        moved = ", ".join(
            _difference(name, kept["key"].get(name, "none"), key.get(name, "none"))
            for name in differing
        )
        lock.release()
        return replace(
            start_run(cache),
            note=f"does not resume the run of {kept['started']}, since then {moved}: all cases run",
        )
    shutil.rmtree(folder / "told", ignore_errors=True)  # of processes that are dead
    (folder / SPEEDS_FILE).unlink(missing_ok=True)  # of the machine as it was
    count = move_to_earlier(folder)
    return RunFolder(
        folder,
        lock,
        f"resumes the run of {kept['started']}, which finished {count} case{'s' * (count != 1)}",
    )


def _difference(name: str, old: str, new: str) -> str:
    """ "peft 0.20.0 -> 0.21.2"; a profile and a digest say nothing to a reader."""
    return (
        f"{name} {old} -> {new}"
        if len(old + new) < SHORT and name not in DIGEST_NAMES
        else f"{name} changed"
    )


def _about(folder: Path) -> dict[str, Any] | None:
    """When a run began, and its key; None where a machine that went down left no whole file."""
    try:
        kept = json.loads((folder / KEY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) and {"started", "key"} <= kept.keys() else None


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _left(cache: Path) -> list[tuple[FileLock, Path]]:
    """The folders of dead runs, the latest first, each with its lock, held for as long as this list lives."""
    found = []
    for folder in sorted((one for one in cache.iterdir() if one.is_dir()), reverse=True):
        lock = FileLock(_lock_of(folder), timeout=0)
        try:
            lock.acquire()
        except Timeout:  # at work
            continue
        found.append((lock, folder))
    return found
