"""The folder of the cache: where it is, its mark, what is in it, and how it is emptied.

`--ftcompare-cache-dir` and `FTCOMPARE_CACHE` may name any folder, so only one that was made as a
cache is ever emptied.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path

from filelock import FileLock, Timeout

CACHE_OPTION = "--ftcompare-cache-dir"
CACHE_VARIABLE = "FTCOMPARE_CACHE"  # its default
# The sub-folders that the commands make.
PARTS = ("environments", "results", "bisections", "commits")
# File in an environment with its lock; one that is made without it is not whole.
LOCK_FILE = "lock.txt"
# The mark of a cache, by bford.info/cachedir; backups leave such a folder out.
MARK = "CACHEDIR.TAG"
MARK_TEXT = """\
Signature: 8a477f597d28d172789f06886806bc55
# Environments and results of ftcompare: `python -m pytest_ftcompare cache clean` removes them.
"""


class CacheError(RuntimeError):
    """The cache's folder cannot be used or emptied; the message says why in one sentence."""


def location() -> Path:
    """Return the cache's folder: $FTCOMPARE_CACHE, or ftcompare in the user's cache."""
    if folder := os.environ.get(CACHE_VARIABLE):
        return Path(folder).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ftcompare"


def make(folder: Path) -> None:
    """Make the folder if it is missing; mark it as a cache if nothing else is in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            (folder / MARK).write_text(MARK_TEXT, encoding="utf-8")
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "it cannot be written"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise CacheError(
            f"expected a folder for the cache, got {folder} ({reason}): name another folder with "
            f"{CACHE_OPTION}"
        )


def environments_in(folder: Path) -> list[Path]:
    """Return the folders of environments, the one used last first."""
    used = {}
    for file in (folder / "environments").glob(f"*/{LOCK_FILE}"):
        # Another process may remove it.
        with suppress(FileNotFoundError):
            used[file.parent] = file.stat().st_mtime
    return sorted(used, key=used.__getitem__, reverse=True)


def own_bytes(folder: Path) -> float:
    """Return the bytes of a folder's files that no other folder links."""
    total = 0
    # Another process may remove it: `os.walk` passes over a folder that is gone.
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                stat = Path(place, name).lstat()
                total += stat.st_size if stat.st_nlink == 1 else 0
    return float(total)


def remove_environment(place: Path) -> None:
    """Remove an environment. If that is interrupted, the rest does not count as whole."""
    (place / LOCK_FILE).unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)


def clean(folder: Path) -> None:
    """Remove all environments and results, and the folder itself if nothing else is in it.

    Raise `CacheError` if the folder is not marked, a process uses it, or something stays.
    """
    if not folder.exists():
        return
    mark = folder / MARK
    # Other tools mark their caches with the same first line.
    if not (mark.is_file() and b"ftcompare" in mark.read_bytes()):
        raise CacheError(
            f"expected a folder that ftcompare made, {folder} has no {MARK}: remove "
            f"{', '.join(PARTS)} there yourself if they are the cache's"
        )
    with ExitStack() as held:
        for file in [file for part in PARTS for file in (folder / part).glob("*.lock")]:
            try:
                held.enter_context(FileLock(file, timeout=0))
            except Timeout:
                raise CacheError(f"another process uses {folder}: wait for it") from None
            except OSError as error:
                raise CacheError(
                    f"{file} cannot be locked ({error.strerror}): run as its owner"
                ) from None
        for place in environments_in(folder):
            remove_environment(place)
        for part in PARTS:
            shutil.rmtree(folder / part, ignore_errors=True)
    if stays := [file for part in PARTS for file in folder.glob(f"{part}/**/*")]:
        raise CacheError(
            f"{len(stays)} files and folders could not be removed, such as {stays[-1]}: remove "
            "them yourself"
        )
    if [*folder.iterdir()] == [mark]:
        mark.unlink()
        # A folder that is mounted stays, empty.
        with suppress(OSError):
            folder.rmdir()
