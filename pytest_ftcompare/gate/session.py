"""This run's verdicts and results over all workers; what they mean for the exit status; writing accepted baselines.

Only the controller holds one. Workers send each case's verdict on its test report, as JSON text.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from pytest_ftcompare.compare.claims import claim
from pytest_ftcompare.compare.cross_case_audit import CaseSummary, Finding, audit_across_cases
from pytest_ftcompare.compare.measured_cost import all_windows_disturbed
from pytest_ftcompare.compare.noise_carryover import carry_over_noise
from pytest_ftcompare.compare.session_verdict import SessionVerdict
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.gate.run_case import CaseRun
from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.claim_record import ClaimRecord
from pytest_ftcompare.results.result import Json, Result


def case_to_text(case: Case, verdict: CaseVerdict, held: CaseRun | None) -> str:
    """What a test report carries of a case, and of what came of it if it ran; the whole result only for a baseline."""
    result, update = (held.result, held.update) if held is not None else (None, False)
    data = {
        "verdict": verdict.to_dict(),
        "identity": case.identity(),
        "device": held.device if held is not None else "",
        "seconds": held.seconds if held is not None else 0.0,
        "summary": CaseSummary.of(result).to_dict() if result is not None else None,
        "result": result.to_json() if result is not None and update else None,
    }
    return json.dumps(data)


class TestReport(Protocol):
    """What is needed of pytest's report of a test."""

    nodeid: str
    duration: float  # seconds

    @property
    def passed(self) -> bool: ...

    @property
    def failed(self) -> bool: ...


@dataclass(frozen=True)
class TestOutcome:
    """How the test of a case or a claim ended; a claim's has no identity, and none of them a device where nothing ran."""

    nodeid: str
    seconds: float
    failed: bool
    identity: Json = field(default_factory=dict)
    device: str = ""

    @classmethod
    def from_report(cls, report: TestReport, data: Json) -> TestOutcome:
        """`data` is what the report carries; a case that an earlier run finished took its time then."""
        seconds = max(report.duration, data.get("seconds", 0.0))
        return cls(
            report.nodeid, seconds, report.failed, data.get("identity", {}), data.get("device", "")
        )


@dataclass
class GateSession:
    """Everything that the cases of this run said."""

    baselines: Path
    update: bool  # baselines are written: all that run, or with `new_only` the missing ones
    new_only: bool = False
    verdicts: list[CaseVerdict] = field(default_factory=list)
    summaries: list[CaseSummary] = field(default_factory=list)
    test_outcomes: dict[tuple[str, str], TestOutcome] = field(
        default_factory=dict
    )  # by suite and case or claim
    suite_seconds: defaultdict[str, float] = field(
        default_factory=lambda: defaultdict(float)
    )  # seconds of a suite's tests
    updated: set[tuple[str, str]] = field(
        default_factory=set
    )  # suite and case of those that were to be written
    accepted: dict[str, list[Result]] = field(default_factory=dict)  # device -> results
    written: list[tuple[Result | None, Result]] = field(
        default_factory=list
    )  # the baseline before, and this run's result
    claims: list[claim.ClaimVerdict] = field(default_factory=list)
    claim_names: dict[str, list[str]] = field(default_factory=dict)  # suite -> the names of its claims
    written_claims: list[claim.ClaimVerdict] = field(default_factory=list)
    stale: list[Path] = field(default_factory=list)
    stale_removed: bool = False  # the stale ones
    collection_incomplete: bool = False  # what could not be collected may have had cases
    interrupted: bool = False
    failure: str = ""  # why accepted baselines could not be written

    def add_case(self, text: str, report: TestReport) -> CaseVerdict:
        """Take in what the report of a case carries; a test that failed for whatever reason accepts nothing."""
        data = json.loads(text)
        verdict = CaseVerdict.from_dict(data["verdict"])
        self._forget(verdict.suite, verdict.id)
        self.verdicts.append(verdict)
        self.test_outcomes[verdict.suite, verdict.id] = TestOutcome.from_report(report, data)
        if data["summary"] is not None:
            self.summaries.append(CaseSummary(**data["summary"]))
        if data["result"] is not None:
            self.updated.add((verdict.suite, verdict.id))
            if report.passed:
                self.accepted.setdefault(data["device"], []).append(
                    Result.from_json(data["result"])
                )
        return verdict

    def _forget(self, suite: str, case: str) -> None:
        """A test that is run again, as plugins for flaky tests do, has one result, its last."""
        if (suite, case) not in self.test_outcomes:
            return
        self.verdicts = [one for one in self.verdicts if (one.suite, one.id) != (suite, case)]
        self.summaries = [one for one in self.summaries if (one.suite, one.id) != (suite, case)]
        for device, results in self.accepted.items():
            self.accepted[device] = [one for one in results if (one.suite, one.id) != (suite, case)]

    def add_claim(self, text: str, report: TestReport) -> claim.ClaimVerdict:
        """Take in what the report of a claim carries."""
        data = json.loads(text)
        verdict = claim.ClaimVerdict.from_dict(data["verdict"])
        self.test_outcomes[verdict.suite, verdict.name] = TestOutcome.from_report(report, data)
        self.claim_names[verdict.suite] = data["table"]
        key = verdict.suite, verdict.name
        self.claims = [one for one in self.claims if (one.suite, one.name) != key] + [verdict]
        self.written_claims = [one for one in self.written_claims if (one.suite, one.name) != key]
        if verdict.update and report.passed:
            self.written_claims.append(verdict)
        return verdict

    @property
    def devices(self) -> dict[str, dict[str, str]]:
        """The device of each case that ran, by suite and id."""
        found: dict[str, dict[str, str]] = {}
        for one in self.verdicts:
            found.setdefault(one.suite, {})[one.id] = self.test_outcomes[one.suite, one.id].device
        return found

    @cached_property
    def session_verdict(self) -> SessionVerdict:
        """What the cases that were held against baselines say together; to be asked when all have ended."""
        return SessionVerdict(
            [one for one in self.verdicts if (one.suite, one.id) not in self.updated]
        )

    @cached_property
    def audit_findings(self) -> list[Finding]:
        """What the audits have against cases beside each other; to be asked when all have ended."""
        return audit_across_cases(self.summaries)

    @property
    def findings(self) -> list[str]:
        """What fails the session beside the cases that fail by themselves."""
        return [*self.session_verdict.findings, *(one.sentence for one in self.audit_findings)]

    @property
    def untimed(self) -> list[str]:
        """The accepted cases of which neither this run nor their baseline has a time."""
        return [one.id for results in self.accepted.values() for one in results if all_windows_disturbed(one)]

    def write(self, *, sound: bool) -> None:
        """Write the accepted baselines, and, of a session in which all was `sound`, remove the stale ones.

        An interrupted session does neither.
        """
        if not self.update or self.interrupted:
            self.written_claims = []
            return
        removes = sound and not self.new_only
        against = {(one.suite, case) for one in self.audit_findings for case in one.cases}
        self.accepted = {
            device: [one for one in results if (one.suite, one.id) not in against]
            for device, results in self.accepted.items()
        }
        if (
            not any(self.accepted.values())
            and not self.written_claims
            and not (removes and self.stale)
        ):
            return
        pairs = {
            device: [(self.read_baseline(device, new.suite, new.id), new) for new in results]
            for device, results in self.accepted.items()
        }
        self.accepted = {
            device: [carry_over_noise(old, new) for old, new in found]
            for device, found in pairs.items()
        }
        try:
            baseline_store.write(
                self.baselines, self.accepted, self.stale if removes else (), self._records()
            )
        except OSError as error:
            self.written_claims = []
            self.failure = f"the baselines could not be written to {self.baselines} ({error.strerror or error})"
            return
        self.written = [pair for found in pairs.values() for pair in found]
        self.stale_removed = removes

    def _records(self) -> dict[str, list[ClaimRecord]]:
        """The claims' baselines that are to be written, by device."""
        found: dict[str, list[ClaimRecord]] = {}
        for one in self.written_claims:
            if one.record is not None:
                found.setdefault(one.device, []).append(one.record)
        return found

    def read_baseline(self, device: str, suite: str, case: str) -> Result | None:
        """The baseline of a case on a device; one that can't be read is none."""
        try:
            return baseline_store.read(
                baseline_store.path_of(self.baselines, device, suite, case), case
            )
        except baseline_store.BaselineError:
            return None

    def compared_baseline(self, device: str, suite: str, case: str) -> Result | None:
        """The baseline that a case was held against: its device's, or where there is none, that for cpu."""
        devices = (
            device or baseline_store.FALLBACK_DEVICE,
            *(() if self.update else (baseline_store.FALLBACK_DEVICE,)),
        )
        return next(filter(None, (self.read_baseline(one, suite, case) for one in devices)), None)
