"""The command `bisect` of `python -m pytest_ftcompare`: find what made cases fail.

The history is a package's releases, a checkout's commits, or, for two files of constraints, first
the packages that differ and then the releases of the one that is to blame.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_ftcompare.environments.checkout import describe_commit, files_of
from pytest_ftcompare.environments.environment_cache import (
    EnvironmentCache,
    default_cache,
)
from pytest_ftcompare.environments.installer import Installer, find_installer
from pytest_ftcompare.environments.lock import Lock, installed_lock, is_release
from pytest_ftcompare.environments.requirements import constrained_lock, resolve
from pytest_ftcompare.results import atomic_write
from pytest_ftcompare.upgrade.bisection import Bisection, find_package
from pytest_ftcompare.upgrade.command import (
    add_installer_options,
    installer_options,
)
from pytest_ftcompare.upgrade.exit_status import OK, exit_status
from pytest_ftcompare.upgrade.gate_run import GateRuns
from pytest_ftcompare.upgrade.history import (
    Entry,
    commits_between,
    releases_between,
)
from pytest_ftcompare.upgrade.search import Found
from pytest_ftcompare.upgrade.session import TryError, check_arguments, results_key
from pytest_ftcompare.upgrade.try_upgrade import FIRST_SEEDS

DESCRIPTION = """\
Find the release, the commit or the package that made cases fail. Everything after -- is pytest's
and chooses the cases: give as few as show the failure. Exit status: 0 found; 2 not found, one
sentence says why.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `bisect` to the parser of commands."""
    command = commands.add_parser(
        "bisect",
        help="find the release, commit or package that made a case fail",
        description=DESCRIPTION,
        usage="python -m pytest_ftcompare bisect [options] --good GOOD --bad BAD "
        "-- PYTEST'S ARGUMENTS",
    )
    command.add_argument("--package", metavar="NAME", help="package whose releases are searched")
    command.add_argument(
        "--checkout", type=Path, metavar="DIR", help="git checkout whose commits are searched"
    )
    command.add_argument(
        "--good", required=True, help="release, commit or file of constraints that passes"
    )
    command.add_argument(
        "--bad", required=True, help="release, commit or file of constraints that fails"
    )
    command.add_argument(
        "--sweep",
        action="store_true",
        help="run every entry, to see a history that is not in order",
    )
    command.add_argument(
        "--all-seeds",
        action="store_true",
        help="train all seeds of the good end, for a failure that few do not show",
    )
    command.add_argument(
        "--json",
        type=Path,
        default=Path("ftcompare-bisect.json"),
        metavar="FILE",
        help="file of the answer (default: ftcompare-bisect.json)",
    )
    add_installer_options(command)
    command.set_defaults(do=run_command)


def _say(text: str) -> None:
    print(f"ftcompare bisect: {text}", flush=True)


History = tuple[list[str], Callable[[int], Entry]]


def _entries_of_package(
    name: str, good: str, bad: str, base: Lock, installer: Installer
) -> History:
    """Return the releases between two, each in the environment of `base`."""
    here = installed_lock()
    versions = releases_between(installer.versions(name), good, bad)

    def entry(number: int) -> Entry:
        requirement = f"{name}=={versions[number]}"
        lines = resolve([requirement], installer)
        # What is installed already is not reported.
        lines.setdefault(name, here.lines.get(name, requirement))
        if base != here:
            # The other versions stay as they are in `base`, so only what it lacks is added.
            lines = {
                key: line for key, line in lines.items() if key == name or key not in base.lines
            }
        return Entry(requirement, base.overlaid(lines))

    return [f"{name} {version}" for version in versions], entry


def _entries_of_checkout(
    checkout: Path, good: str, bad: str, installer: Installer, folder: Path
) -> History:
    here, commits = installed_lock(), commits_between(checkout, good, bad)

    def entry(number: int) -> Entry:
        place = files_of(checkout, commits[number], folder)
        return Entry(commits[number], here.overlaid(resolve([f"-e {place}"], installer)))

    return [describe_commit(checkout, commit) for commit in commits], entry


def _answer(bisection: Bisection, found: Found) -> dict[str, object]:
    """Print the answer, and return it as JSON."""
    labels, states = bisection.labels, found.states
    last_good, first_bad = labels[found.last_good], labels[found.first_bad]
    _say(f"last good: {last_good}")
    _say(f"first bad: {first_bad}")
    for number in found.untried:
        _say(f"between them, {labels[number]} is {states[number]}: it may be the first bad one")
    for number in found.contradictions:
        _say(f"out of order: {labels[number]} is {states[number]}")
    searched = bisection.searched
    assert searched is not None
    _say(f"sign: {searched}; {len(bisection.results)} of {len(labels)} entries run")
    entries = [
        {"entry": labels[number], "state": states.get(number, "not run")}
        | ({"result": asdict(result)} if (result := bisection.results.get(number)) else {})
        for number in range(len(labels))
    ]
    return {
        "last good": last_good,
        "first bad": first_bad,
        "sign": asdict(searched),
        "locks": [
            bisection.entry(number).lock.text().splitlines()
            for number in (found.last_good, found.first_bad)
        ],
        "contradictions": [labels[number] for number in found.contradictions],
        "entries": entries,
    }


def _bisect(args: argparse.Namespace, installer: Installer, folder: Path) -> dict[str, object]:
    environments = EnvironmentCache(default_cache(), installer)

    def runs(good: Entry) -> GateRuns:
        """Return runs that are compared with a good end; another one has another folder."""
        seeds = None if args.all_seeds else FIRST_SEEDS
        place = folder / good.lock.content_digest()
        return GateRuns(environments, place, args.pytest, _say, seeds)

    if args.checkout is not None:
        commits = default_cache() / "commits"
        history = _entries_of_checkout(args.checkout, args.good, args.bad, installer, commits)
    elif args.package is not None:
        here = installed_lock()
        history = _entries_of_package(args.package, args.good, args.bad, here, installer)
    else:
        here = installed_lock()
        good, bad = (
            constrained_lock(Path(file), here, installer) for file in (args.good, args.bad)
        )
        name = find_package(runs(Entry("the good file", good)), good, bad)
        versions = [is_release(lock.lines.get(name, "")) for lock in (good, bad)]
        if not all(versions):
            raise TryError(f"{name} decides, and is no release in both files: bisect its checkout")
        _say(f"{name} decides: its releases are next")
        history = _entries_of_package(name, versions[0], versions[1], bad, installer)
    labels, entry = history
    bisection = Bisection(runs(entry(0)), labels, entry)
    return _answer(bisection, bisection.search(every=args.sweep))


def _check(args: argparse.Namespace) -> None:
    """Raise `TryError` for arguments that do not go together, before anything runs."""
    if args.package is not None and args.checkout is not None:
        raise TryError("expected --package or --checkout, got both")
    if not args.pytest:
        raise TryError("expected the failing cases as pytest's arguments after --")
    check_arguments(args.pytest)
    if not args.json.absolute().parent.is_dir():
        raise TryError(f"--json: expected a file in a folder that exists, got {args.json}")


def run_command(args: argparse.Namespace) -> int:
    """Run the command `bisect`, and return its exit status."""
    return exit_status(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    _check(args)
    installer = find_installer(installer_options(args))
    folder = default_cache() / "bisections" / results_key(str(args.all_seeds), *args.pytest)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.with_suffix(".lock"), timeout=0):
            answer = _bisect(args, installer, folder)
    except Timeout:
        raise TryError(
            "another process bisects these cases: wait for it, then repeat the command"
        ) from None
    atomic_write.write(args.json, json.dumps(answer, indent=1) + "\n")
    return OK
