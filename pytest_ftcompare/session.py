"""This run's judgements and results over all workers; what they mean for the exit status; writing accepted baselines.

Only the controller holds one. Workers send each case's judgement on its test report, as JSON text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pytest_ftcompare.compare import baseline, claim
from pytest_ftcompare.compare.audit_suite import Finding, Summary, across
from pytest_ftcompare.compare.cost import lacks_time
from pytest_ftcompare.compare.learned import carried
from pytest_ftcompare.compare.overall import Overall
from pytest_ftcompare.compare.verdict import Judgement
from pytest_ftcompare.result import Result


def to_text(judgement: Judgement, result: Result | None, device: str, *, update: bool) -> str:
    """What a test report carries; the whole result only where it is to become a baseline."""
    data = {
        "judgement": judgement.to_dict(),
        "device": device,
        "summary": Summary.of(result).to_dict() if result is not None else None,
        "result": result.to_json() if result is not None and update else None,
    }
    return json.dumps(data)


@dataclass
class Session:
    """Everything that the cases of this run said."""

    baselines: Path
    update: bool  # baselines are written: all that run, or with `new_only` the missing ones
    new_only: bool = False
    judgements: list[Judgement] = field(default_factory=list)
    summaries: list[Summary] = field(default_factory=list)
    ran: dict[str, dict[str, str]] = field(default_factory=dict)  # suite -> case -> device
    updated: set[tuple[str, str]] = field(default_factory=set)  # suite and case of those that were to be written
    accepted: dict[str, list[Result]] = field(default_factory=dict)  # device -> results
    written: list[tuple[Result | None, Result]] = field(default_factory=list)  # the baseline before, and this run's result
    claims: list[claim.Judgement] = field(default_factory=list)
    tables: dict[str, list[str]] = field(default_factory=dict)  # suite -> the names of its claims
    written_claims: list[claim.Judgement] = field(default_factory=list)
    stale: list[Path] = field(default_factory=list)
    removed: bool = False  # the stale ones
    half_collected: bool = False  # what could not be collected may have had cases
    interrupted: bool = False
    failure: str = ""  # why accepted baselines could not be written

    def add(self, text: str, *, passed: bool) -> Judgement:
        """Take in what a report carries; a test that failed for whatever reason accepts nothing."""
        data = json.loads(text)
        judgement = Judgement.from_dict(data["judgement"])
        self.judgements.append(judgement)
        self.ran.setdefault(judgement.suite, {})[judgement.id] = data["device"]
        if data["summary"] is not None:
            self.summaries.append(Summary(**data["summary"]))
        if data["result"] is not None:
            self.updated.add((judgement.suite, judgement.id))
            if passed:
                self.accepted.setdefault(data["device"], []).append(Result.from_json(data["result"]))
        return judgement

    def add_claim(self, text: str, *, passed: bool) -> claim.Judgement:
        """Take in what the report of a claim carries."""
        data = json.loads(text)
        judgement = claim.Judgement.from_dict(data["judgement"])
        self.tables[judgement.suite] = data["table"]
        self.claims.append(judgement)
        if judgement.update and passed:
            self.written_claims.append(judgement)
        return judgement

    @cached_property
    def overall(self) -> Overall:
        """What the cases that were held against baselines say together; to be asked when all have ended."""
        return Overall([one for one in self.judgements if (one.suite, one.id) not in self.updated])

    @cached_property
    def refused(self) -> list[Finding]:
        """What the audits have against cases beside each other; to be asked when all have ended."""
        return across(self.summaries)

    @property
    def findings(self) -> list[str]:
        """What fails the session beside the cases that fail by themselves."""
        return [*self.overall.findings, *(one.sentence for one in self.refused)]

    @property
    def untimed(self) -> list[str]:
        """The accepted cases of which neither this run nor their baseline has a time."""
        return [one.id for results in self.accepted.values() for one in results if lacks_time(one)]

    def write(self, *, sound: bool) -> None:
        """Write the accepted baselines, and, of a session in which all was `sound`, remove the stale ones.

        An interrupted session does neither.
        """
        if not self.update or self.interrupted:
            self.written_claims = []
            return
        removes = sound and not self.new_only
        against = {(one.suite, case) for one in self.refused for case in one.cases}
        self.accepted = {
            device: [one for one in results if (one.suite, one.id) not in against] for device, results in self.accepted.items()
        }
        if not any(self.accepted.values()) and not self.written_claims and not (removes and self.stale):
            return
        pairs = {device: [(self._before(device, new), new) for new in results] for device, results in self.accepted.items()}
        self.accepted = {device: [carried(old, new) for old, new in found] for device, found in pairs.items()}
        try:
            baseline.write(self.baselines, self.accepted, self.stale if removes else (), self._records())
        except OSError as error:
            self.written_claims = []
            self.failure = f"the baselines could not be written to {self.baselines} ({error.strerror or error})"
            return
        self.written = [pair for found in pairs.values() for pair in found]
        self.removed = removes

    def _records(self) -> dict[str, list[claim.Record]]:
        """The claims' baselines that are to be written, by device."""
        found: dict[str, list[claim.Record]] = {}
        for one in self.written_claims:
            if one.record is not None:
                found.setdefault(one.device, []).append(one.record)
        return found

    def _before(self, device: str, new: Result) -> Result | None:
        """The baseline that a result takes the place of; one that can't be read is none."""
        try:
            return baseline.read(baseline.path_of(self.baselines, device, new.suite, new.id), new.id)
        except baseline.BaselineError:
            return None
