"""Make environments and keep them in a cache, by the digest of their lock.

A distribution that the environment that runs has in the same version is linked from it, file by
file: it takes neither a download nor disk space. Only what differs is installed.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

from filelock import FileLock

from pytest_ftcompare.upgrade.installer import Installer, InstallError
from pytest_ftcompare.upgrade.lock import Lock, installed, line_of

CACHE_VARIABLE = "FTCOMPARE_CACHE"
# Gigabytes of environments above which those used longest ago are removed; chosen: dozens of
# upgrades of pure Python, or some of torch. Raising it keeps more of them.
CACHE_LIMIT_GB = 20.0
LOCK_FILE = "lock.txt"
# Modules that a case imports: an environment that cannot import one is refused.
IMPORTS = ("torch", "transformers", "peft", "pytest_ftcompare.plugin")
Say = Callable[[str], None]


class EnvironmentRefused(RuntimeError):
    """An environment cannot be made or used; the message says why in one sentence."""


def default_cache() -> Path:
    """Return the folder of environments: $FTCOMPARE_CACHE, or ftcompare in the user's cache."""
    if folder := os.environ.get(CACHE_VARIABLE):
        return Path(folder).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ftcompare"


@dataclass(frozen=True)
class EnvironmentCache:
    """Environments in a folder; together they take at most `limit` bytes beside what they link."""

    folder: Path
    installer: Installer
    limit: float = CACHE_LIMIT_GB * 2**30

    def get(self, lock: Lock, say: Say) -> Path:
        """Return the interpreter of the lock's environment, which is made if it is missing."""
        place = self.folder / "environments" / lock.digest()
        place.parent.mkdir(parents=True, exist_ok=True)
        # A second process waits, and finds what the first one made.
        with FileLock(place.with_suffix(".lock")):
            if not (place / LOCK_FILE).is_file():
                self._make(lock, place, say)
            (place / LOCK_FILE).touch()
        self._remove_old(keep=place)
        return _python(place)

    def _make(self, lock: Lock, place: Path, say: Say) -> None:
        """Make the environment beside its place and move it there when it is whole."""
        unfinished = place.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)
        try:
            self._fill(lock, unfinished, say)
            (unfinished / LOCK_FILE).write_text(lock.text(), encoding="utf-8")
            unfinished.rename(place)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise EnvironmentRefused(
                f"no space is left for an environment in {self.folder}: free some, remove "
                "environments with `python -m pytest_ftcompare cache clean`, or name another "
                f"folder in {CACHE_VARIABLE}"
            ) from None
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _fill(self, lock: Lock, folder: Path, say: Say) -> None:
        venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
        python, here = _python(folder), installed()
        site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
        missing = {}
        for name, line in lock.lines.items():
            if name not in here or line_of(here[name]) != line or not _link(here[name], site):
                missing[name] = line
        if missing:
            say(f"installing {', '.join(missing.values())}")
            try:
                self.installer.install(python, list(missing.values()))
            except InstallError as error:
                raise EnvironmentRefused(f"it cannot be installed: {error}") from None
        self._check(python)

    def _check(self, python: Path) -> None:
        """Raise `EnvironmentRefused` for a new conflict, or a library that does not load."""
        known = set(self.installer.conflicts(Path(sys.executable)))
        new = [line for line in self.installer.conflicts(python) if line not in known]
        if new:
            raise EnvironmentRefused(
                f"it does not fit what is installed: {new[0].strip().rstrip('.')}: change that, too"
            )
        program = "; ".join(f"import {name}" for name in IMPORTS)
        done = subprocess.run([python, "-P", "-c", program], capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise EnvironmentRefused(f"its libraries do not load: {last}")

    def places(self) -> list[Path]:
        """Return the folders of environments, the one used last first."""
        locks = [*(self.folder / "environments").glob(f"*/{LOCK_FILE}")]
        locks.sort(key=lambda file: file.stat().st_mtime, reverse=True)
        return [file.parent for file in locks]

    def size(self) -> float:
        """Return the bytes that the folder takes beside what it links."""
        return _own_bytes(self.folder)

    def clean(self) -> float:
        """Remove all environments and results; return the bytes freed."""
        size = self.size()
        shutil.rmtree(self.folder, ignore_errors=True)
        return size

    def _remove_old(self, keep: Path) -> None:
        """Remove the environments used longest ago until the rest is within the limit."""
        total = 0.0
        for place in self.places():
            total += _own_bytes(place)
            if total > self.limit and place != keep:
                shutil.rmtree(place, ignore_errors=True)


def _python(folder: Path) -> Path:
    return Path(sysconfig.get_path("scripts", "venv", {"base": str(folder)})) / "python"


def _own_bytes(folder: Path) -> float:
    """Return the bytes of files that no other folder links."""
    stats = [file.lstat() for file in folder.rglob("*")]
    return float(sum(stat.st_size for stat in stats if stat.st_nlink == 1))


def _link(distribution: Distribution, site: Path) -> bool:
    """Link a distribution's modules into another environment; False if its files are unknown.

    Its commands are left out: they name the interpreter of their own environment.
    """
    if distribution.files is None:
        return False
    for file in distribution.files:
        source = Path(str(distribution.locate_file(file)))
        if ".." in file.parts or not source.is_file():
            continue
        target = site / file
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except FileExistsError:
            continue
        except OSError:
            # Another file system, or one without links.
            shutil.copy2(source, target)
    return True
