"""The commands `try` and `cache` of `python -m pytest_ftcompare`.

`try` resolves a change, makes the environments and runs the cases in both (try_upgrade.py).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_ftcompare.environments import cache_folder
from pytest_ftcompare.environments.cache_folder import CACHE_OPTION, CACHE_VARIABLE
from pytest_ftcompare.environments.environment_cache import (
    EnvironmentCache,
    default_cache,
)
from pytest_ftcompare.environments.installer import Installer, find_installer
from pytest_ftcompare.environments.lock import Lock, installed_lock
from pytest_ftcompare.environments.requirements import (
    canonical_names,
    constrained_lock,
    requirement_lines,
    resolve,
)
from pytest_ftcompare.upgrade.exit_status import OK, WORSE, exit_status
from pytest_ftcompare.upgrade.session import TryError, check_arguments, with_suites
from pytest_ftcompare.upgrade.try_upgrade import Environment, Trial

THIS_AND_CHANGED = ("this environment", "the changed environment")
THIS_TWICE = ("this environment", "this environment again")
OLD_AND_NEW = ("the old environment", "the new environment")
DESCRIPTION = """\
Run the cases in this environment and in one with the change, and compare them as the gate does.
Nothing of this environment or of the project's baselines is touched. Everything after -- is
pytest's. Exit status: 0 the gate passes; 1 it fails; 2 the two cannot be compared.
"""


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `try` and `cache` to the parser of commands."""
    command = commands.add_parser(
        "try",
        help="gate an upgrade against this environment, without stored baselines",
        description=DESCRIPTION,
        usage="python -m pytest_ftcompare try [options] [CHANGE ...] [-- PYTEST'S ARGUMENTS]",
    )
    command.add_argument(
        "changes", nargs="*", metavar="CHANGE", help='such as "transformers==5.24.0"'
    )
    command.add_argument(
        "-e",
        dest="checkouts",
        action="append",
        default=[],
        metavar="DIR",
        help="checkout of a library to use in place of its release; can be repeated",
    )
    command.add_argument(
        "--old", type=Path, metavar="FILE", help="constraints of the old environment"
    )
    command.add_argument(
        "--new", type=Path, metavar="FILE", help="constraints of the new environment"
    )
    command.add_argument(
        "--itself",
        action="store_true",
        help="change nothing: see what this machine's noise alone gives",
    )
    add_installer_options(command)
    command.add_argument(
        "--report",
        type=Path,
        default=Path("ftcompare-try"),
        metavar="NAME",
        help="name of the reports, without ending (default: ftcompare-try)",
    )
    command.set_defaults(do=try_upgrade)
    command = commands.add_parser(
        "cache",
        help="show or remove the environments and results in the cache",
        description="Show the folder of environments and results, or remove it.",
    )
    command.add_argument("action", choices=("show", "clean"))
    _add_cache_option(command)
    command.set_defaults(do=lambda args: cache(args.action))


class _UseCache(argparse.Action):
    """Name the cache's folder in this process and in the sessions that it starts."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        os.environ[CACHE_VARIABLE] = str(Path(str(values)).expanduser().absolute())


def _add_cache_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        CACHE_OPTION,
        action=_UseCache,
        metavar="DIR",
        help=f"folder of environments and results (default: ${CACHE_VARIABLE}, or ftcompare in "
        "the user's cache)",
    )


def add_installer_options(command: argparse.ArgumentParser) -> None:
    """Add the options that pip or uv gets, and that of the cache's folder."""
    _add_cache_option(command)
    command.add_argument(
        "--index-url", metavar="URL", help="package index in place of the configured one"
    )
    command.add_argument(
        "--extra-index-url",
        action="append",
        default=[],
        metavar="URL",
        help="further package index; can be repeated",
    )
    command.add_argument(
        "--find-links",
        action="append",
        default=[],
        metavar="DIR",
        help="folder or page of wheels; can be repeated",
    )
    command.add_argument(
        "--offline",
        action="store_true",
        help="use no index, only --find-links and this environment",
    )
    command.add_argument(
        "--source", action="store_true", help="also build distributions that have no wheel"
    )


def _say(text: str) -> None:
    print(f"ftcompare try: {text}", flush=True)


def installer_options(args: argparse.Namespace) -> list[str]:
    """Return the installer's options."""
    options = [] if args.index_url is None else ["--index-url", args.index_url]
    for name, values in (
        ("--extra-index-url", args.extra_index_url),
        ("--find-links", args.find_links),
    ):
        options += [part for value in values for part in (name, value)]
    options += ["--no-index"] if args.offline else []
    return options if args.source else [*options, "--only-binary", ":all:"]


def _locks(args: argparse.Namespace, installer: Installer) -> tuple[Lock, Lock]:
    """Return the locks of the old and of the new environment."""
    here = installed_lock()
    if (args.old is None) != (args.new is None):
        raise TryError("expected both --old and --new, or neither and a change")
    requirements = requirement_lines(args.changes, args.checkouts)
    if args.itself:
        if requirements or args.old is not None:
            raise TryError("expected --itself, or a change, got both")
        return here, here
    if args.old is not None:
        if requirements:
            raise TryError("expected --old and --new, or changes, got both")
        return constrained_lock(args.old, here, installer), constrained_lock(
            args.new, here, installer
        )
    if not requirements:
        raise TryError('expected a change, such as "transformers==5.24.0" or -e ../peft')
    return here, here.overlaid(resolve(requirements, installer))


def _describe_moves(old: Lock, new: Lock, args: argparse.Namespace) -> None:
    names, checkouts = canonical_names(args.changes), requirement_lines([], args.checkouts)
    for move in old.moves_to(new):
        asked = args.old is not None or move.name in names or move.new in checkouts
        _say(f"{move}{'' if asked else ' (came along)'}")


def try_upgrade(args: argparse.Namespace) -> int:
    """Run the command `try`, and return its exit status."""
    return exit_status(lambda: OK if _trial(args).run() else WORSE)


def _trial(args: argparse.Namespace) -> Trial:
    """Make both environments, and return the trial."""
    check_arguments(args.pytest)
    installer = find_installer(installer_options(args))
    old, new = _locks(args, installer)
    if not (args.itself or old.moves_to(new)):
        raise TryError(
            "nothing would change: both environments have the same distributions; --itself "
            "compares this one with itself"
        )
    _describe_moves(old, new, args)
    environments = EnvironmentCache(default_cache(), installer)
    names = THIS_AND_CHANGED if old == installed_lock() else OLD_AND_NEW
    names = THIS_TWICE if args.itself else names
    return Trial(
        _environment(names[0], old, environments),
        _environment(names[1], new, environments),
        with_suites(args.pytest),
        default_cache() / "results",
        args.report,
        _say,
    )


def _environment(name: str, lock: Lock, environments: EnvironmentCache) -> Environment:
    here = lock == installed_lock()
    return Environment(name, lock, Path(sys.executable) if here else environments.get(lock, _say))


def cache(action: str) -> int:
    """Show or remove the folder of environments and results; return the exit status."""
    return exit_status(lambda: _cache(action))


def _cache(action: str) -> int:
    folder = cache_folder.location()
    count, size = len(cache_folder.environments_in(folder)), cache_folder.own_bytes(folder)
    if action == "clean":
        cache_folder.clean(folder)
        size -= cache_folder.own_bytes(folder)
    verb = "removed" if action == "clean" else "holds"
    print(f"{folder}: {verb} {count} environment{'s' * (count != 1)}, {size / 2**20:,.0f} MiB")
    return OK
