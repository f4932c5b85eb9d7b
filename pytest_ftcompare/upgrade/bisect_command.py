"""The command `bisect` of `python -m pytest_ftcompare`: find what made tests fail.

The history is a package's releases, a checkout's commits, or, for two ends that differ in several
packages, first these packages and then the releases of the one that is to blame.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from pathlib import Path

from filelock import FileLock, Timeout
from packaging.utils import canonicalize_name

from pytest_ftcompare.environments.environment_cache import EnvironmentCache, default_cache
from pytest_ftcompare.environments.installer import Installer, find_installer
from pytest_ftcompare.environments.lock import Lock, installed_lock, is_release
from pytest_ftcompare.environments.requirements import changed_lock, constrained_lock
from pytest_ftcompare.report.wording import bisection_lines
from pytest_ftcompare.results import atomic_write
from pytest_ftcompare.results.result import Json
from pytest_ftcompare.upgrade import entries, failed_report
from pytest_ftcompare.upgrade.answer import make_answer
from pytest_ftcompare.upgrade.bisection import Bisection, find_package
from pytest_ftcompare.upgrade.command import add_installer_options, installer_options
from pytest_ftcompare.upgrade.entries import Entries
from pytest_ftcompare.upgrade.exit_status import OK, exit_status
from pytest_ftcompare.upgrade.failed_report import FailedReport
from pytest_ftcompare.upgrade.gate_run import GateRuns
from pytest_ftcompare.upgrade.history import Entry
from pytest_ftcompare.upgrade.session import TryError, check_arguments, results_key, with_suites
from pytest_ftcompare.upgrade.try_upgrade import FEW_SEEDS

DESCRIPTION = """\
Find the release, the commit or the package that made tests fail. Everything after -- is pytest's
and chooses the tests: give as few as show the failure. Exit status: 0 found; 2 not found, one
sentence says why.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `bisect` to the parser of commands."""
    command = commands.add_parser(
        "bisect",
        help="find the release, commit or package that made a test fail",
        description=DESCRIPTION,
        usage="python -m pytest_ftcompare bisect [options] "
        "(--good GOOD [--bad BAD] -- PYTEST'S ARGUMENTS | --from FILE)",
    )
    command.add_argument("--package", metavar="NAME", help="package whose releases are searched")
    command.add_argument(
        "--checkout", type=Path, metavar="DIR", help="git checkout whose commits are searched"
    )
    command.add_argument(
        "--good", help='release, commit, requirements ("peft==0.20.0 ...") or file that passes'
    )
    command.add_argument("--bad", help="the same that fails (default: this environment)")
    command.add_argument(
        "--from",
        dest="report",
        type=Path,
        metavar="FILE",
        help="JSON report of a failed session: its baselines' libraries are good, this environment "
        "is bad, and its failed cases run; the answer is added to it",
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


def _ends_of_package(args: argparse.Namespace) -> tuple[str, str]:
    """Return the good and the bad version; the bad one is the installed one by default."""
    if args.bad is not None:
        return args.good, args.bad
    line = installed_lock().lines.get(args.package, "")
    if not is_release(line):
        raise TryError(f"expected --bad, as no release of {args.package} is installed here")
    return args.good, line.partition("==")[2]


def _lock_of(text: str, here: Lock, installer: Installer) -> Lock:
    """Return the lock of a file of constraints, or of requirements in one text."""
    if "==" in text:
        return changed_lock(text.split(), here, installer)
    return constrained_lock(Path(text), here, installer)


class _Search:
    """One call of the command: its arguments, and where its results stay."""

    def __init__(self, args: argparse.Namespace, installer: Installer, folder: Path) -> None:
        self.args, self.installer, self.folder = args, installer, folder
        self.environments = EnvironmentCache(default_cache(), installer)

    def runs(self, good: Entry) -> GateRuns:
        """Return runs that are compared with a good end; another one has another folder."""
        seeds = None if self.args.all_seeds else FEW_SEEDS
        place = self.folder / good.key
        return GateRuns(self.environments, place, good, self.args.pytest, _say, seeds)

    def entries(self) -> Entries:
        """Return the history; for two ends, find the package that decides first."""
        args, here = self.args, installed_lock()
        if args.checkout is not None:
            commits = default_cache() / "commits"
            return entries.of_checkout(
                args.checkout, args.good, args.bad or "HEAD", self.installer, commits
            )
        if args.package is not None:
            return entries.of_package(args.package, *_ends_of_package(args), here, self.installer)
        good = _lock_of(args.good, here, self.installer)
        bad = here if args.bad is None else _lock_of(args.bad, here, self.installer)
        moves = [move.name for move in good.moves_to(bad)]
        if not moves:
            raise TryError("expected two different ends, both have the same distributions")
        if len(moves) == 1:
            name = moves[0]
        else:
            name = find_package(self.runs(Entry("the good end", good)), good, bad)
        versions = [is_release(lock.lines.get(name, "")) for lock in (good, bad)]
        if not all(versions):
            raise TryError(f"{name} decides, and is no release in both ends: bisect its checkout")
        _say(f"{name} decides: its releases are next")
        return entries.of_package(name, versions[0], versions[1], bad, self.installer)


def _take_report(args: argparse.Namespace) -> FailedReport | None:
    """Read the report that is asked for, and take the good end and the cases from it."""
    if args.report is None:
        return None
    if args.package or args.checkout or args.good or args.bad:
        raise TryError("--from gives both ends: leave --package, --checkout, --good and --bad out")
    report = failed_report.read(args.report)
    args.good = " ".join(report.requirements)
    args.pytest = args.pytest or report.arguments
    return report


def _check(args: argparse.Namespace) -> None:
    """Raise `TryError` for arguments that do not go together, before anything runs."""
    if args.package is not None and args.checkout is not None:
        raise TryError("expected --package or --checkout, got both")
    if args.package is not None:
        args.package = canonicalize_name(args.package)
    if args.good is None:
        raise TryError("expected --good, or --from with the JSON report of a failed session")
    if not args.pytest:
        raise TryError("expected the failing cases as pytest's arguments after --")
    check_arguments(args.pytest)
    args.pytest = with_suites(args.pytest)
    if not args.json.absolute().parent.is_dir():
        raise TryError(f"--json: expected a file in a folder that exists, got {args.json}")


def run_command(args: argparse.Namespace) -> int:
    """Run the command `bisect`, and return its exit status."""
    return exit_status(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    report = _take_report(args)
    _check(args)
    installer = find_installer(installer_options(args))
    folder = default_cache() / "bisections" / results_key(str(args.all_seeds), *args.pytest)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.with_suffix(".lock"), timeout=0):
            answer = _search(_Search(args, installer, folder))
    except Timeout:
        raise TryError(
            "another process bisects these cases: wait for it, then repeat the command"
        ) from None
    for line in bisection_lines(answer):
        _say(line)
    atomic_write.write(args.json, json.dumps(answer, indent=1) + "\n")
    if report is not None:
        answers = [*report.document.get("bisections", []), answer]
        document = report.document | {"bisections": answers}
        atomic_write.write(report.file, json.dumps(document) + "\n")
        _say(
            f"{report.file} has the answer, too: "
            f"`python -m pytest_ftcompare report {report.file} page.html` renders it"
        )
    return OK


def _search(search: _Search) -> Json:
    """Search, and return the answer."""
    started = time.monotonic()
    history = search.entries()
    # Each entry is resolved once, also for the answer.
    make = functools.cache(history.make)
    bisection = Bisection(search.runs(make(0)), history.labels, make)
    found = bisection.search(every=search.args.sweep)
    return make_answer(bisection, found, history.link, time.monotonic() - started)
