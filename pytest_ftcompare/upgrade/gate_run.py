"""Run the failing cases in an environment, and say whether they fail as they did.

`bisect_command.py` calls it for each entry of a history. The good end's results are the baselines.
No time is measured: probe, structure, counts and outcomes decide.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_ftcompare.results import atomic_write
from pytest_ftcompare.upgrade.environments import EnvironmentCache, EnvironmentRefused, Say
from pytest_ftcompare.upgrade.history import Entry
from pytest_ftcompare.upgrade.search import State
from pytest_ftcompare.upgrade.try_upgrade import RAN, TryError


@dataclass(frozen=True)
class Sign:
    """How a case failed: its verdict, where it left the baseline, and the sentence."""

    case: str
    verdict: str
    level: str
    text: str

    def is_like(self, other: Sign) -> bool:
        """Return whether both failed alike; the sentence has numbers, which may differ."""
        return (self.verdict, self.level) == (other.verdict, other.level)

    def __str__(self) -> str:
        where = f", {self.level}" if self.level else ""
        return f"{self.case}: {self.verdict}{where}: {self.text}"


@dataclass(frozen=True)
class RunResult:
    """The signs of the cases that failed in an entry, or why it could not be tried."""

    signs: list[Sign]
    skipped: str = ""

    def state(self, searched: Sign) -> State:
        """Return the entry's state for the failure that is searched."""
        if self.skipped:
            return "skipped"
        if not self.signs:
            return "good"
        return "bad" if any(sign.is_like(searched) for sign in self.signs) else "other"


@dataclass(frozen=True)
class GateRuns:
    """Runs the cases that pytest's arguments choose; results stay in `folder` and are used again.

    `seeds` is the number of seeds of the good end, None for the profile's.
    """

    environments: EnvironmentCache
    folder: Path
    arguments: Sequence[str]
    say: Say
    seeds: int | None

    def make_baselines(self, good: Entry) -> None:
        """Run the cases in the good end, whose results the others are compared with."""
        whole = self.folder / "whole"
        if whole.is_file() and whole.read_text(encoding="utf-8") == str(self.seeds):
            return
        self.say(f"{good.label}: the cases run in it first")
        few = [] if self.seeds is None else [f"--ftcompare-seeds={self.seeds}"]
        update = ["--update-baselines", "--ftcompare-window=0"]
        self._pytest(good, [*update, *few])
        atomic_write.write(whole, str(self.seeds))

    def run(self, entry: Entry) -> RunResult:
        """Return how an entry's cases fail; a result of an earlier call is read."""
        file = self.folder / f"{entry.lock.digest()}.json"
        if file.is_file():
            stored = json.loads(file.read_text(encoding="utf-8"))
            return RunResult([Sign(**sign) for sign in stored["signs"]], stored["skipped"])
        self.say(f"{entry.label}: running")
        result = self._run(entry)
        atomic_write.write(file, json.dumps(asdict(result)))
        return result

    def _run(self, entry: Entry) -> RunResult:
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        try:
            self._pytest(entry, ["--benchmark-disable", f"--ftcompare-report={report}"])
        except EnvironmentRefused as error:
            return RunResult([], str(error))
        document = json.loads(report.read_text(encoding="utf-8"))
        return RunResult(
            [
                Sign(
                    case["id"],
                    case["verdict"],
                    case["first_divergence"],
                    (case["divergences"] or ["its outcome or cost moved"])[0],
                )
                for case in document["cases"]
                if case["failed"]
            ]
        )

    def _pytest(self, entry: Entry, options: Sequence[str]) -> None:
        """Run pytest in an entry's environment; its output goes to a file beside the results."""
        python = self.environments.get(entry.lock, self.say)
        baselines = f"--ftcompare-baselines={self.folder / 'baselines'}"
        command = [str(python), "-m", "pytest", *self.arguments, baselines, *options]
        log = self.folder / f"{entry.lock.digest()}.log"
        with log.open("w", encoding="utf-8") as output:
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT)
        if done.returncode not in RAN:
            raise TryError(
                f"pytest ended with status {done.returncode} in {entry.label}: {log} says why"
            )


def results_key(parts: Sequence[str]) -> str:
    """Return a digest of what the runs of a bisection depend on."""
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:16]
