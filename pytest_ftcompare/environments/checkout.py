"""Read a checkout with git, and copy the files of a commit; the checkout stays as it is."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

from filelock import FileLock


class CheckoutError(RuntimeError):
    """git cannot give what was asked for; the message says why in one sentence."""


def git(checkout: Path, *arguments: str) -> str:
    """Return what git prints for a checkout; raise `CheckoutError` if it fails."""
    command = ["git", "-C", str(checkout), *arguments]
    try:
        # A file's name or a commit's subject may be in any encoding.
        done = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", errors="replace"
        )
    except OSError as error:
        raise CheckoutError(f"git cannot be run ({error.strerror})") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["git says nothing"])[0]
        raise CheckoutError(f"{checkout}: {reason.removeprefix('fatal: ')}")
    return done.stdout.strip()


def describe_commit(checkout: Path, commit: str) -> str:
    """Return a commit's short hash, date and subject."""
    return git(checkout, "log", "-1", "--format=%h %cs %s", commit)


def find_commit(checkout: Path, commit: str) -> str:
    """Return a commit's full hash; raise `CheckoutError` if the checkout lacks it."""
    shallow = git(checkout, "rev-parse", "--is-shallow-repository") == "true"
    try:
        return git(checkout, "rev-parse", "--verify", f"{commit}^{{commit}}")
    except CheckoutError:
        remedy = "git fetch --unshallow" if shallow else "git fetch"
        kind = "a shallow clone without" if shallow else "a checkout without"
        raise CheckoutError(
            f"{checkout} is {kind} the commit {commit}: get it with `{remedy}`"
        ) from None


def files_of(checkout: Path, commit: str, folder: Path) -> Path:
    """Return a folder with the files of a commit; the checkout stays as it is."""
    place = folder / commit
    folder.mkdir(parents=True, exist_ok=True)
    # A second process waits, and finds what the first one made.
    with FileLock(place.with_suffix(".lock")):
        if not place.is_dir():
            unfinished = place.with_suffix(".unfinished")
            unfinished.mkdir(exist_ok=True)
            archive = unfinished.with_suffix(".tar")
            try:
                git(checkout, "archive", "--format=tar", f"--output={archive}", commit)
                with tarfile.open(archive) as files:
                    files.extractall(unfinished, filter="data")
                unfinished.rename(place)
            except (tarfile.TarError, OSError) as error:
                raise CheckoutError(
                    f"{checkout}: {commit} cannot be copied to {folder}: {error}"
                ) from None
            finally:
                archive.unlink(missing_ok=True)
    return place
