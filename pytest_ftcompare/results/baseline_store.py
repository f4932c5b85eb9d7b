"""Read and write baselines: `<folder>/<device>/<suite>/<case>.json`.

Baselines of claims are `<folder>/<device>/claims/<profile>/<name>.json`. The distributions of the
environments that made baselines are `<folder>/<device>/locks/<digest>.txt`; a baseline's entry
`distributions` is the digest. An error is one sentence.

An update writes all files or none. It first writes every new file, and a mark for each file to
remove, into a staging folder. Renaming that folder accepts the update. Then the files move to their
places, and the marked files are removed. A process killed before the rename leaves every baseline
unchanged; after a kill later on, the next session finishes the update (`recover`).
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from pytest_ftcompare.results import claim_record
from pytest_ftcompare.results.claim_record import ClaimRecord
from pytest_ftcompare.results.result import Result, ResultError
from pytest_ftcompare.results.result import digest as digest_of_text

STAGING = ".staging-"  # prefix of the staging folder
ACCEPTED = ".accepted"  # the staging folder after the rename
REMOVED = ".removed"  # suffix of a mark: remove the baseline of that name
LOCK = ".lock"
FALLBACK_DEVICE = "cpu"  # the device whose baselines are shipped
CLAIMS = "claims"
LOCKS = "locks"
DISTRIBUTIONS = "distributions"  # entry of an environment: the digest of its lock
# The entry in a baseline's file; one with merge-conflict markers has two.
NAMED_LOCK = re.compile(rb'"distributions": "(\w+)"')

T = TypeVar("T")


class BaselineError(ValueError):
    """A baseline or its folder cannot be used; the message states what, where, and what to do."""


def path_of(folder: Path, device: str, suite: str, case: str) -> Path:
    """Return the file of a case's baseline."""
    return folder / device / suite / f"{case}.json"


def path_of_claim(folder: Path, device: str, profile: str, name: str) -> Path:
    """Return the file of a claim's baseline."""
    return folder / device / CLAIMS / profile / f"{name}.json"


def path_of_lock(folder: Path, device: str, digest: str) -> Path:
    """Return the file of a lock that baselines of a device name."""
    return folder / device / LOCKS / f"{digest}.txt"


def result_paths(folder: Path) -> list[Path]:
    """Return the result files below a folder, without claims and unfinished updates."""
    return [
        path
        for path in sorted(folder.rglob("*.json"))
        if path.parent.parent.name != CLAIMS
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def read(path: Path, case: str) -> Result | None:
    """Return a case's baseline, or None if it has none. Raises `BaselineError`."""
    return _read(path, case, Result.from_json, lambda result: result.id)


def read_claim(path: Path, name: str) -> ClaimRecord | None:
    """Return a claim's baseline, or None if it has none. Raises `BaselineError`."""
    return _read(path, name, claim_record.from_json, lambda record: record.name)


def read_lock(folder: Path, device: str, digest: str) -> str:
    """Return the text of a lock that a baseline names. Raises `BaselineError`."""
    path = path_of_lock(folder, device, digest)
    try:
        text = path.read_text(encoding="utf-8")
        if digest_of_text(text) != digest:
            raise ValueError("its content is not what its name says")
        return text
    except (OSError, ValueError) as error:
        raise BaselineError(
            f"expected the baseline's distributions in {path}, which cannot be read ({error}): "
            "restore it with git checkout, or update the baseline"
        ) from None


def _read(
    path: Path, name: str, parse: Callable[[str], T], name_of: Callable[[T], str]
) -> T | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(
            f"the baseline {path} cannot be read ({error}): restore it with git checkout"
        ) from None
    try:
        baseline = parse(text)
    except ResultError as error:
        raise BaselineError(
            f"expected a baseline in {path}, but {error}. Restore it with git checkout, "
            "or make it again with --update-baselines"
        ) from None
    if name_of(baseline) != name:
        raise BaselineError(
            f"expected the baseline of {name} in {path}, found that of {name_of(baseline)}: "
            "restore it with git checkout, or make it again with --update-baselines"
        )
    return baseline


def check_writable(folder: Path) -> None:
    """Raise `BaselineError` before hours of training if baselines cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BaselineError(
            f"--update-baselines writes into {folder}, which cannot be written ({error.strerror}): "
            "make it writable, or name another folder with --ftcompare-baselines"
        ) from None


def recover(folder: Path) -> int:
    """Finish an accepted update that was killed, and drop one killed earlier.

    Return how many files were moved or removed.
    """
    if not [*folder.glob(f"{STAGING}*"), *folder.glob(ACCEPTED)]:
        return 0
    # Without the lock, the folders could belong to another session that is writing.
    with FileLock(folder / LOCK):
        for staging in folder.glob(f"{STAGING}*"):
            shutil.rmtree(staging, ignore_errors=True)
        return _finish_update(folder) if (folder / ACCEPTED).is_dir() else 0


def _finish_update(folder: Path) -> int:
    accepted = folder / ACCEPTED
    files = sorted([*accepted.rglob("*.json"), *accepted.rglob("*.txt")])
    for file in files:
        target = folder / file.relative_to(accepted)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, target)
    marks = sorted(accepted.rglob(f"*{REMOVED}"))
    for mark in marks:
        target = folder / mark.relative_to(accepted)
        target.with_name(target.name.removesuffix(REMOVED)).unlink(missing_ok=True)
    shutil.rmtree(accepted)
    return len(files) + len(marks)


def write(
    folder: Path,
    accepted: Mapping[str, Iterable[Result]],
    stale: Iterable[Path] = (),
    claims: Mapping[str, Iterable[ClaimRecord]] | None = None,
    locks: Mapping[str, str] | None = None,
) -> None:
    """Write each device's `accepted` results and `claims`, and remove the `stale` files.

    `locks` are texts by digest: those that results name are written, too. Locks that no baseline
    names any more are removed. All of it happens or nothing, even if the process is killed.
    """
    with FileLock(folder / LOCK):
        # A session was killed after this one started.
        if (folder / ACCEPTED).is_dir():
            _finish_update(folder)
        staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))
        for device, results in accepted.items():
            for result in results:
                _write_synced(path_of(staging, device, result.suite, result.id), result.to_json())
                digest = result.environment.get(DISTRIBUTIONS, "")
                if text := (locks or {}).get(digest):
                    _write_synced(path_of_lock(staging, device, digest), text)
        for device, records in (claims or {}).items():
            for record in records:
                _write_synced(
                    path_of_claim(staging, device, record.profile, record.name),
                    claim_record.to_json(record),
                )
        stale = [*stale]
        for path in [*stale, *_unnamed_locks(folder, staging, stale)]:
            _write_synced(staging / path.relative_to(folder).with_name(f"{path.name}{REMOVED}"), "")
        os.replace(staging, folder / ACCEPTED)
        _finish_update(folder)


def _unnamed_locks(folder: Path, staging: Path, stale: Iterable[Path]) -> Iterator[Path]:
    """Yield the locks in `folder` that no baseline names once the update is accepted."""
    for locks in folder.glob(f"[!.]*/{LOCKS}"):
        device = locks.parent.name
        files = {path.relative_to(folder): path for path in (folder / device).rglob("*.json")}
        for path in stale:
            files.pop(path.relative_to(folder), None)
        files |= {path.relative_to(staging): path for path in (staging / device).rglob("*.json")}
        named = {
            digest.decode()
            for path in files.values()
            for digest in NAMED_LOCK.findall(path.read_bytes())
        }
        yield from (path for path in sorted(locks.glob("*.txt")) if path.stem not in named)


def _write_synced(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
