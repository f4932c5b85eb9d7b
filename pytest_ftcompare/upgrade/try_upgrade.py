"""Gate one environment against another: the cases run in the old one, then in the new one.

`python -m pytest_ftcompare try` calls it. The old environment's results are baselines in the cache,
by its lock, the code and the machine. The new environment is compared with them as with any
baseline, and its times with the old environment itself, in turn in the same window. Cases that few
seeds leave open run again with all.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

import pytest_ftcompare
from pytest_ftcompare.compare.verdict import WORST_FIRST
from pytest_ftcompare.gate.resume_key import PROJECT_SUFFIXES
from pytest_ftcompare.measure import host
from pytest_ftcompare.measure.library_versions import digest, package_files
from pytest_ftcompare.results import atomic_write
from pytest_ftcompare.upgrade.environments import Say
from pytest_ftcompare.upgrade.lock import Lock

# Seeds of the old environment in the first pass: the fewest that an audit accepts
# (compare/audit.py), enough where results agree to rounding. Raising it makes the first pass
# longer, and leaves fewer cases to run again.
FIRST_SEEDS = 3
WHOLE = "whole"  # file in a folder of results that no pass interrupted
# pytest's exit statuses of a session that ran: all passed, or some test failed.
RAN = (0, 1)


class TryError(RuntimeError):
    """The comparison cannot be made; the message says why in one sentence."""


@dataclass(frozen=True)
class Arm:
    """One of the two environments: its lock, and its interpreter."""

    name: str
    lock: Lock
    python: Path


@dataclass(frozen=True)
class Trial:
    """An upgrade to try: both arms, pytest's arguments, and the folder of the old arm's results.

    `report` is the path of the new arm's reports, without their endings.
    """

    old: Arm
    new: Arm
    arguments: Sequence[str]
    results: Path
    report: Path
    say: Say

    def run(self) -> bool:
        """Run the cases in both arms, and return whether the gate passes."""
        folder = self.results / self._key()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder.with_suffix(".lock"), timeout=0):
                return self._run(folder)
        except Timeout:
            raise TryError(
                "another process tries this upgrade: wait for it, then repeat the command"
            ) from None

    def _run(self, folder: Path) -> bool:
        few = self._pass(folder / "few", [f"--ftcompare-seeds={FIRST_SEEDS}"], self.report)
        cases = {case["nodeid"]: case for case in few["cases"]}
        if still_open := {nodeid for nodeid, case in cases.items() if is_open(case)}:
            self.say(f"{_count(len(still_open), 'case')} again with all seeds")
            others = [test["nodeid"] for test in [*few["cases"], *few["claims"]]]
            deselected = [f"--deselect={other}" for other in others if other not in still_open]
            report = self.report.with_name(f"{self.report.name}-all-seeds")
            every = self._pass(folder / "all", deselected, report)
            cases |= {case["nodeid"]: case for case in every["cases"]}
        counts = Counter(case["verdict"] for case in cases.values())
        verdicts = ", ".join(f"{counts[name]} {name}" for name in WORST_FIRST if counts[name])
        self.say(f"{_count(len(cases), 'case')}: {verdicts}")
        tests = [*cases.values(), *few["claims"]]
        return not (few["findings"] or any(test["failed"] for test in tests))

    def _pass(self, folder: Path, options: Sequence[str], report: Path) -> dict[str, Any]:
        """Run the old arm unless its results are whole, then the new arm; return its document."""
        folder.mkdir(parents=True, exist_ok=True)
        common = [*self.arguments, f"--ftcompare-baselines={folder / 'baselines'}"]
        wanted, whole = json.dumps(options), folder / WHOLE
        if whole.is_file() and whole.read_text(encoding="utf-8") == wanted:
            self.say(f"{self.old.name}: its results are in the cache")
        else:
            self.say(f"{self.old.name}: the cases run in it first")
            # A new baseline also stores times, which are compared in turn instead.
            update = ["--update-baselines", "--ftcompare-window=0", "--ftcompare-resume"]
            cache = ["-o", f"cache_dir={folder / 'pytest'}"]
            self._run_arm(self.old, [*common, *options, *update, *cache])
            atomic_write.write(whole, wanted)
        self.say(f"{self.new.name}: the cases run in it, beside the other one")
        files = [report.with_name(f"{report.name}{ending}") for ending in (".json", ".html")]
        files[0].unlink(missing_ok=True)
        options = [option for option in options if option.startswith("--deselect")]
        reports = [f"--ftcompare-report={file}" for file in files]
        reference = f"--ftcompare-reference={self.old.python}"
        self._run_arm(self.new, [*common, *options, *reports, reference])
        document: dict[str, Any] = json.loads(files[0].read_text(encoding="utf-8"))
        return document

    def _run_arm(self, arm: Arm, arguments: Sequence[str]) -> None:
        """Run pytest in an arm; raise `TryError` unless the session ran to its end."""
        status = subprocess.run([arm.python, "-m", "pytest", *arguments]).returncode
        if status not in RAN:
            raise TryError(
                f"pytest ended with status {status} in {arm.name}: its output above says why; "
                "repeat the command to go on"
            )

    def _key(self) -> str:
        """Return a digest of what the old arm's results depend on."""
        parts = [
            self.old.lock.digest(),
            digest(package_files(Path(pytest_ftcompare.__file__).parent)),
            digest(package_files(Path.cwd(), PROJECT_SUFFIXES)),
            host.processor(),
            *self.arguments,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def is_open(case: Mapping[str, Any]) -> bool:
    """Check whether more seeds of the old arm could change a case's verdict.

    Divergences of recipe, structure or probe need no seed, and a cost has its own rounds.
    """
    outcomes = {comparison["outcome"] for comparison in case["comparisons"]}
    return bool(case["judge_accuracy"]) and (
        case["verdict"] == "undecided" or bool(outcomes & {"worse", "better"})
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
