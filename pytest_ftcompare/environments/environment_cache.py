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
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

from filelock import FileLock

from pytest_ftcompare.environments import cache_folder
from pytest_ftcompare.environments.cache_folder import CACHE_OPTION, LOCK_FILE, CacheError
from pytest_ftcompare.environments.installer import Installer, InstallError
from pytest_ftcompare.environments.lock import Lock, installed, line_of

# Gigabytes of environments above which those used longest ago are removed; chosen: dozens of
# upgrades of pure Python, or some of torch. Raising it keeps more of them.
CACHE_LIMIT_GB = 20.0
# Seconds since their last use in which environments stay whatever their size: a process may run in
# one. A day, chosen: longer than a session. Raising it lets more bytes than the limit stay.
KEPT_SECONDS = 24 * 3600.0
# Modules that a case imports: an environment that cannot import one is refused.
IMPORTS = ("torch", "transformers", "peft", "pytest_ftcompare.plugin")
Say = Callable[[str], None]


class EnvironmentRefused(RuntimeError):
    """An environment cannot be made or used; the message says why in one sentence."""


def default_cache(folder: Path | None = None) -> Path:
    """Return the cache's folder, by default the user's, which is made if it is missing."""
    folder = folder or cache_folder.location()
    try:
        cache_folder.make(folder)
    except CacheError as error:
        raise EnvironmentRefused(str(error)) from None
    return folder


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
                f"folder with {CACHE_OPTION}"
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
                raise EnvironmentRefused(
                    f"the new environment cannot be installed: {error}"
                ) from None
        self._check(python)

    def _check(self, python: Path) -> None:
        """Raise `EnvironmentRefused` for a new conflict, or a library that does not load."""
        known = set(self.installer.conflicts(Path(sys.executable)))
        new = [conflict for conflict in self.installer.conflicts(python) if conflict not in known]
        if new:
            raise EnvironmentRefused(
                "the new environment breaks a requirement: "
                f"{new[0].text.rstrip('.')}: change that, too"
            )
        program = "; ".join(f"import {name}" for name in IMPORTS)
        done = subprocess.run([python, "-P", "-c", program], capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise EnvironmentRefused(f"the new environment's libraries do not load: {last}")

    def _remove_old(self, keep: Path) -> None:
        """Remove the environments used longest ago until the rest is within the limit.

        `keep` was used now; those used within `KEPT_SECONDS` before stay, too.
        """
        total, now = 0.0, (keep / LOCK_FILE).stat().st_mtime
        for place in cache_folder.environments_in(self.folder):
            total += cache_folder.own_bytes(place)
            # Another process may have removed it.
            with suppress(FileNotFoundError):
                unused = now - (place / LOCK_FILE).stat().st_mtime
                if total > self.limit and unused > KEPT_SECONDS:
                    cache_folder.remove_environment(place)


def _python(folder: Path) -> Path:
    return Path(sysconfig.get_path("scripts", "venv", {"base": str(folder)})) / "python"


def _link(distribution: Distribution, site: Path) -> bool:
    """Link a distribution's modules into another environment; False if its files are unknown.

    Only a RECORD lists what is installed; other lists have the files of the source. Commands are
    left out: they name the interpreter of their own environment.
    """
    if distribution.read_text("RECORD") is None or distribution.files is None:
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
