"""Read what a user asks for: requirements, checkouts and constraints; resolve it to a lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from pytest_ftcompare.environments.installer import Installer, InstallError
from pytest_ftcompare.environments.lock import Lock, installed_lock, is_release, read_constraints


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


def resolve(
    requirements: Sequence[str], installer: Installer, here: Lock | None = None
) -> dict[str, str]:
    """Return the lines that requirements install in the environment that runs, by default `here`.

    A package that is installed as a build (torch 2.13.0+cpu) stays this build, unless a requirement
    names another one.
    """
    lines = _resolve(requirements, installer)
    builds = _builds((installed_lock() if here is None else here).lines)
    asked, resolved = _named_builds(requirements), _builds(lines)
    wanted = {
        name: f"{name}=={version}+{builds[name]}"
        for name, line in sorted(lines.items())
        if name in builds.keys() - asked
        and (version := is_release(line))
        and resolved.get(name) != builds[name]
    }
    if not wanted:
        return lines
    try:
        return _resolve([*requirements, *wanted.values()], installer)
    except RequirementError as error:
        name = next(iter(wanted))
        version = is_release(lines[name])
        raise RequirementError(
            f"the build +{builds[name]} of {name} is installed, {lines[name]} is another one, and "
            f"{str(error).rstrip('.')}: name the build that you want, such as "
            f"{name}=={version}+cu128, or {name}==={version} for the one without a name"
        ) from None


def _resolve(requirements: Sequence[str], installer: Installer) -> dict[str, str]:
    try:
        return installer.resolve(requirements)
    except InstallError as error:
        raise RequirementError(f"{', '.join(requirements)} does not resolve: {error}") from None


def _builds(lines: Mapping[str, str]) -> dict[str, str]:
    """Return the local parts of the versions that lines install, such as cpu, by name."""
    releases = {name: line.partition("==")[2] for name, line in lines.items() if is_release(line)}
    builds = {name: Version(text).local for name, text in releases.items()}
    return {name: local for name, local in builds.items() if local}


def _named_builds(requirements: Sequence[str]) -> set[str]:
    """Return the names of the packages whose requirement says which build it takes."""
    asked = [Requirement(line) for line in requirements if not line.startswith("-e ")]
    return {
        canonicalize_name(requirement.name)
        for requirement in asked
        if any("+" in part.version or part.operator == "===" for part in requirement.specifier)
    }


def constrained_lock(file: Path, lock: Lock, installer: Installer) -> Lock:
    """Return a lock with the versions that a constraints file names."""
    try:
        lines = read_constraints(file)
    except OSError as error:
        raise RequirementError(
            f"expected a file of constraints, {file}: {error.strerror}"
        ) from None
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise RequirementError(
            f"{file}, line {number}: expected UTF-8, got another encoding: save the file as UTF-8"
        ) from None
    for number, line in lines:
        try:
            requirement_lines([line])
        except RequirementError as error:
            raise RequirementError(f"{file}, line {number}: {error}") from None
    # A constraint on what is not installed installs nothing.
    asked = [line for _, line in lines if canonicalize_name(Requirement(line).name) in lock.lines]
    if not asked:
        raise RequirementError(f"{file}: it constrains nothing that is installed here")
    return changed_lock(asked, lock, installer)


def changed_lock(requirements: Sequence[str], lock: Lock, installer: Installer) -> Lock:
    """Return a lock with what requirements install in place of its own lines."""
    return lock.overlaid(resolve(requirement_lines(requirements), installer, lock))


def canonical_names(changes: Sequence[str]) -> set[str]:
    """Return the names of requirements in their canonical form."""
    return {canonicalize_name(Requirement(change).name) for change in changes}
