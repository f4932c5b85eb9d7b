"""Run the failing cases in an environment, and say whether they fail as they did.

`bisection.py` calls it for each entry of a history. The good end's results are the baselines. No
time is measured: probe, structure, counts and outcomes decide.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_ftcompare.compare.session_verdict import UNJUDGED_VERDICTS
from pytest_ftcompare.environments.environment_cache import (
    EnvironmentCache,
    EnvironmentRefused,
    Say,
)
from pytest_ftcompare.results import atomic_write
from pytest_ftcompare.upgrade.history import Entry
from pytest_ftcompare.upgrade.search import State
from pytest_ftcompare.upgrade.session import RAN, USAGE_ERRORS, TryError, run_session


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
    """The signs of what failed in an entry.

    `skipped` says why the entry could not be tried, `unsettled` why its cases have no answer.
    """

    signs: list[Sign]
    skipped: str = ""
    unsettled: str = ""

    def state(self, searched: Sign) -> State:
        """Return the entry's state for the failure that is searched."""
        if self.skipped:
            return "skipped"
        if any(sign.is_like(searched) for sign in self.signs):
            return "bad"
        return "other" if self.signs or self.unsettled else "good"

    @property
    def reason(self) -> str:
        """Why the entry is not good, in a sentence; "" if it is."""
        return self.skipped or (str(self.signs[0]) if self.signs else self.unsettled)


def read_document(document: Mapping[str, Any], status: int) -> RunResult:
    """Return the signs in a session's document; `status` is pytest's."""
    signs = [
        Sign(
            case["id"],
            case["verdict"],
            case["first_divergence"],
            (case["divergences"] or ["its outcome or cost moved"])[0],
        )
        for case in document["cases"]
        if case["failed"]
    ]
    signs += [
        Sign(claim["name"], claim["verdict"], "claim", claim["note"] or "the claim moved")
        for claim in document["claims"]
        if claim["failed"]
    ]
    signs += [Sign("all cases", "failed", "together", text) for text in document["findings"]]
    unsettled = [
        f"{case['id']} is {case['verdict']}"
        for case in document["cases"]
        if case["verdict"] in UNJUDGED_VERDICTS
    ]
    if status == 1 and not signs:
        unsettled.append("a test that is no case of the gate failed")
    return RunResult(signs, unsettled=unsettled[0] if unsettled else "")


@dataclass(frozen=True)
class GateRuns:
    """Runs the cases that pytest's arguments choose; results stay in `folder` and are used again.

    `folder` belongs to one good end. `seeds` is its number of seeds, None for the profile's.
    """

    environments: EnvironmentCache
    folder: Path
    arguments: Sequence[str]
    say: Say
    seeds: int | None

    def make_baselines(self, good: Entry) -> None:
        """Run the cases in the good end, whose results the others are compared with."""
        whole = self.folder / "whole"
        if whole.is_file():
            return
        self.say(f"{good.label}: the cases run in it first")
        few = [] if self.seeds is None else [f"--ftcompare-seeds={self.seeds}"]
        update = ["--update-baselines", "--ftcompare-window=0", "--ftcompare-resume"]
        status, document = self._session(good, [*update, *few], "good")
        if status not in RAN:
            raise TryError(self._did_not_run(good, status, "good"))
        if failed := [
            sign for sign in read_document(document, 0).signs if sign.level != "together"
        ]:
            raise TryError(f"expected cases that pass in {good.label}, {failed[0]}")
        atomic_write.write(whole, good.label)

    def run(self, entry: Entry) -> RunResult:
        """Return how an entry's cases fail; a result of an earlier call is read."""
        name = entry.lock.content_digest()
        file = self.folder / f"{name}.result.json"
        if file.is_file():
            stored = json.loads(file.read_text(encoding="utf-8"))
            signs = [Sign(**sign) for sign in stored["signs"]]
            return RunResult(signs, unsettled=stored["unsettled"])
        self.say(f"{entry.label}: running")
        try:
            status, document = self._session(entry, ["--benchmark-disable"], name)
        except EnvironmentRefused as error:
            return RunResult([], str(error))
        if status in USAGE_ERRORS:
            raise TryError(self._did_not_run(entry, status, name))
        if status not in RAN:
            return RunResult([], self._did_not_run(entry, status, name))
        result = read_document(document, status)
        # What could not be tried may work another time, and is not kept.
        atomic_write.write(file, json.dumps(asdict(result)))
        return result

    def _session(
        self, entry: Entry, options: Sequence[str], name: str
    ) -> tuple[int, dict[str, Any]]:
        python = self.environments.get(entry.lock, self.say)
        baselines = f"--ftcompare-baselines={self.folder / 'baselines'}"
        arguments = [*self.arguments, baselines, *options]
        return run_session(python, arguments, self.folder, name, log=True)

    def _did_not_run(self, entry: Entry, status: int, name: str) -> str:
        log = self.folder / f"{name}.log"
        return f"pytest ended with status {status} in {entry.label}: {log} says why"
