"""Baselines on disk: `<folder>/<device>/<suite>/<case>.json`, read with one clear sentence, written all or none.

Those of claims are `<folder>/<device>/claims/<profile>/<name>.json`.

An update first writes every new file, and a mark for each that goes, into a staging folder, then renames that folder: this
is the moment at which it happens. Only then do the files move to their places, and the marked ones go. A process killed
before the rename leaves every baseline as it was; one killed after it leaves a folder that the next session finishes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from pytest_ftcompare.results import claim_record
from pytest_ftcompare.results.claim_record import ClaimRecord
from pytest_ftcompare.results.result import Result, ResultError

STAGING = ".staging-"
ACCEPTED = ".accepted"
REMOVED = ".removed"  # the ending of a mark: the baseline of that name goes
LOCK = ".lock"
FALLBACK = "cpu"  # the device whose baselines are shipped
CLAIMS = "claims"

T = TypeVar("T")


class BaselineError(ValueError):
    """A baseline or its folder can't be used; the message says what, where, and what to do."""


def path_of(folder: Path, device: str, suite: str, case: str) -> Path:
    return folder / device / suite / f"{case}.json"


def path_of_claim(folder: Path, device: str, profile: str, name: str) -> Path:
    return folder / device / CLAIMS / profile / f"{name}.json"


def results_in(folder: Path) -> list[Path]:
    """The files of results in a folder and those below it, without claims and what an update has under way."""
    return [
        one
        for one in sorted(folder.rglob("*.json"))
        if one.parent.parent.name != CLAIMS
        and not any(part.startswith(".") for part in one.relative_to(folder).parts)
    ]


def read(path: Path, case: str) -> Result | None:
    """The baseline of a case, None where there is none."""
    return _read(path, case, Result.from_json, lambda found: found.id)


def read_claim(path: Path, name: str) -> ClaimRecord | None:
    """The baseline of a claim, None where there is none."""
    return _read(path, name, claim_record.from_json, lambda found: found.name)


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
        found = parse(text)
    except ResultError as error:
        raise BaselineError(
            f"expected a baseline in {path}, but {error}. Restore it with git checkout, "
            "or make it again with --update-baselines"
        ) from None
    if name_of(found) != name:
        raise BaselineError(
            f"expected the baseline of {name} in {path}, found that of {name_of(found)}: "
            "restore it with git checkout, or make it again with --update-baselines"
        )
    return found


def check_writable(folder: Path) -> None:
    """Fail before hours of training, not after, where baselines could not be written."""
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
    """Finish an update that was killed while its files moved, drop one killed before; how many files moved or went."""
    if not [*folder.glob(f"{STAGING}*"), *folder.glob(ACCEPTED)]:
        return 0
    with FileLock(folder / LOCK):  # what is there may be another session's, at work
        for left in folder.glob(f"{STAGING}*"):
            shutil.rmtree(left, ignore_errors=True)
        return _move(folder) if (folder / ACCEPTED).is_dir() else 0


def _move(folder: Path) -> int:
    accepted = folder / ACCEPTED
    files = sorted(accepted.rglob("*.json"))
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
) -> None:
    """Write the `accepted` results and the `claims` of each device and remove the `stale` files.

    Killed at any moment, all of it or nothing.
    """
    with FileLock(folder / LOCK):
        if (folder / ACCEPTED).is_dir():  # of a session killed since this one began
            _move(folder)
        staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))
        for device, results in accepted.items():
            for result in results:
                _put(path_of(staging, device, result.suite, result.id), result.to_json())
        for device, records in (claims or {}).items():
            for record in records:
                _put(
                    path_of_claim(staging, device, record.profile, record.name),
                    claim_record.to_json(record),
                )
        for path in stale:
            _put(staging / path.relative_to(folder).with_name(f"{path.name}{REMOVED}"), "")
        os.replace(staging, folder / ACCEPTED)
        _move(folder)


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
