"""Read what a user asks for: requirements, checkouts and constraints; resolve it to a lock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pytest_ftcompare.upgrade.installer import Installer, InstallError
from pytest_ftcompare.upgrade.lock import Lock, read_constraints


class RequirementError(ValueError):
    """What was asked for cannot be read or resolved; the message says why in one sentence."""


def requirement_lines(changes: Sequence[str], checkouts: Sequence[str] = ()) -> list[str]:
    """Return the lines of changes and checkouts for pip."""
    for change in changes:
        try:
            Requirement(change)
        except InvalidRequirement:
            raise RequirementError(
                f'expected a requirement such as "transformers==5.24.0", got {change!r}'
            ) from None
    for checkout in checkouts:
        if not any((Path(checkout) / name).is_file() for name in ("pyproject.toml", "setup.py")):
            raise RequirementError(
                f"-e: expected a checkout with a pyproject.toml, {checkout} has none"
            )
    return [*changes, *(f"-e {Path(checkout).resolve()}" for checkout in checkouts)]


def resolve(requirements: Sequence[str], installer: Installer) -> dict[str, str]:
    """Return the lines that requirements install in the environment that runs."""
    try:
        return installer.resolve(requirements)
    except InstallError as error:
        raise RequirementError(f"{', '.join(requirements)} does not resolve: {error}") from None


def constrained_lock(file: Path, lock: Lock, installer: Installer) -> Lock:
    """Return a lock with the versions that a constraints file names."""
    try:
        lines = read_constraints(file)
    except OSError as error:
        raise RequirementError(
            f"expected a file of constraints, {file}: {error.strerror}"
        ) from None
    requirement_lines(lines)
    # A constraint on what is not installed installs nothing.
    asked = [line for line in lines if canonicalize_name(Requirement(line).name) in lock.lines]
    if not asked:
        raise RequirementError(f"{file}: it constrains nothing that is installed here")
    return lock.overlaid(resolve(asked, installer))


def canonical_names(changes: Sequence[str]) -> set[str]:
    """Return the names of requirements in their canonical form."""
    return {canonicalize_name(Requirement(change).name) for change in changes}
