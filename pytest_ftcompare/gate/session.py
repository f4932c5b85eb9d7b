"""Collect the verdicts and results of all workers, and write accepted baselines.

Only the controller has a `GateSession`. Workers send each case's verdict with its test report, as
JSON text.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from pytest_ftcompare.compare.allowances import SessionAllowance, sum_up
from pytest_ftcompare.compare.claims import claim
from pytest_ftcompare.compare.cross_case_audit import CaseSummary, Finding, audit_across_cases
from pytest_ftcompare.compare.measured_cost import all_windows_disturbed
from pytest_ftcompare.compare.noise_carryover import carry_over_noise
from pytest_ftcompare.compare.session_verdict import SessionVerdict
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.gate.run_case import CaseRun
from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.allowance import Allowance
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.claim_record import ClaimRecord
from pytest_ftcompare.results.result import Json, Result

# Node id of the report on what fails the session as a whole.
SESSION_NODEID = "ftcompare::session"


def case_to_text(case: Case, verdict: CaseVerdict, case_run: CaseRun | None) -> str:
    """Return the JSON text of a case for its test report.

    `case_run` is None if the case could not run. The whole result is included only for a baseline.
    """
    result, update = (case_run.result, case_run.update) if case_run is not None else (None, False)
    data = {
        "verdict": verdict.to_dict(),
        "identity": case.identity(),
        "device": case_run.device if case_run is not None else "",
        "seconds": case_run.seconds if case_run is not None else 0.0,
        "summary": CaseSummary.of(result).to_dict() if result is not None else None,
        "result": result.to_json() if result is not None and update else None,
    }
    return json.dumps(data)


class TestReport(Protocol):
    """The part of pytest's test report that is used here."""

    nodeid: str
    duration: float  # seconds

    @property
    def passed(self) -> bool: ...

    @property
    def failed(self) -> bool: ...


@dataclass(frozen=True)
class TestOutcome:
    """How the test of a case or a claim ended.

    A claim has no identity. A test that ran nothing has no device.
    """

    __test__ = False  # else pytest would try to collect the class where a test imports it

    nodeid: str
    seconds: float
    failed: bool
    identity: Json = field(default_factory=dict)
    device: str = ""

    @classmethod
    def from_report(cls, report: TestReport, data: Json) -> TestOutcome:
        """Make the outcome from a report and the `data` that it carries."""
        # A case that is reused from an earlier run took its time in that run.
        seconds = max(report.duration, data.get("seconds", 0.0))
        return cls(
            report.nodeid, seconds, report.failed, data.get("identity", {}), data.get("device", "")
        )


@dataclass
class GateSession:
    """The verdicts and results of a session."""

    baselines: Path
    update: bool  # write baselines
    new_only: bool = False  # an update writes only the missing ones
    accept_entries: Sequence[Allowance] = ()  # of the accept file
    verdicts: list[CaseVerdict] = field(default_factory=list)
    summaries: list[CaseSummary] = field(default_factory=list)
    # By suite, and name of the case or claim.
    test_outcomes: dict[tuple[str, str], TestOutcome] = field(default_factory=dict)
    # Seconds of each suite's tests.
    suite_seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    # Suite and id of the cases that an update ran.
    updated: set[tuple[str, str]] = field(default_factory=set)
    # Results to write as baselines, by device.
    accepted: dict[str, list[Result]] = field(default_factory=dict)
    # Each old baseline, and the result that replaced it.
    written: list[tuple[Result | None, Result]] = field(default_factory=list)
    claims: list[claim.ClaimVerdict] = field(default_factory=list)
    # Names of each suite's claims.
    claim_names: dict[str, list[str]] = field(default_factory=dict)
    # Files that have each suite's claims.
    claim_files: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    written_claims: list[claim.ClaimVerdict] = field(default_factory=list)
    # Suite and id of all cases that an allowance may name, also of those that did not run.
    known_cases: Sequence[tuple[str, str]] = ()
    stale: list[Path] = field(default_factory=list)
    stale_removed: bool = False
    collection_incomplete: bool = False  # a file that failed to import may have cases
    interrupted: bool = False
    failure: str = ""  # why accepted baselines could not be written

    def add_case(self, text: str, report: TestReport) -> CaseVerdict:
        """Add a case from its report; a failed test accepts no baseline."""
        data = json.loads(text)
        verdict = CaseVerdict.from_dict(data["verdict"])
        self._remove_case(verdict.suite, verdict.id)
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

    def _remove_case(self, suite: str, case: str) -> None:
        """Remove an earlier result of a case, as plugins for flaky tests run tests again."""
        if (suite, case) not in self.test_outcomes:
            return
        self.verdicts = [
            verdict for verdict in self.verdicts if (verdict.suite, verdict.id) != (suite, case)
        ]
        self.summaries = [
            summary for summary in self.summaries if (summary.suite, summary.id) != (suite, case)
        ]
        for device, results in self.accepted.items():
            self.accepted[device] = [
                result for result in results if (result.suite, result.id) != (suite, case)
            ]

    def add_claim(self, text: str, report: TestReport) -> claim.ClaimVerdict:
        """Add a claim from its report; a failed test accepts no baseline."""
        data = json.loads(text)
        verdict = claim.ClaimVerdict.from_dict(data["verdict"])
        self.test_outcomes[verdict.suite, verdict.name] = TestOutcome.from_report(report, data)
        self.claim_names[verdict.suite] = data["table"]
        self.claim_files[verdict.suite].add(data["file"])
        key = verdict.suite, verdict.name
        self.claims = [other for other in self.claims if (other.suite, other.name) != key] + [
            verdict
        ]
        self.written_claims = [
            other for other in self.written_claims if (other.suite, other.name) != key
        ]
        if verdict.update and report.passed:
            self.written_claims.append(verdict)
        return verdict

    @property
    def devices(self) -> dict[str, dict[str, str]]:
        """The device of each case that ran, by suite and id."""
        devices: dict[str, dict[str, str]] = {}
        for verdict in self.verdicts:
            devices.setdefault(verdict.suite, {})[verdict.id] = self.test_outcomes[
                verdict.suite, verdict.id
            ].device
        return devices

    @cached_property
    def session_verdict(self) -> SessionVerdict:
        """The joint verdict of the cases that have baselines; read it after the last test."""
        return SessionVerdict(
            [
                verdict
                for verdict in self.verdicts
                if (verdict.suite, verdict.id) not in self.updated
            ]
        )

    @property
    def allowances(self) -> list[SessionAllowance]:
        """What each allowance did; read it after the baselines were written."""
        return sum_up(
            self.accept_entries,
            self.verdicts,
            known=self.known_cases,
            updated={(new.suite, new.id) for _, new in self.written},
        )

    @cached_property
    def audit_findings(self) -> list[Finding]:
        """The findings of audits that compare cases; read it after the last test."""
        return audit_across_cases(self.summaries)

    @property
    def findings(self) -> list[str]:
        """The sentences that fail the session besides its failed cases."""
        return [
            *self.session_verdict.findings,
            *(finding.sentence for finding in self.audit_findings),
        ]

    @property
    def untimed(self) -> list[str]:
        """Ids of the accepted cases for which neither this run nor their baseline has a time."""
        return [
            result.id
            for results in self.accepted.values()
            for result in results
            if all_windows_disturbed(result)
        ]

    def write(self, *, passed: bool, locks: Mapping[str, str]) -> None:
        """Write the accepted baselines; if the session `passed`, remove the stale ones.

        `locks` has the texts of this run's distributions by digest. An interrupted session does
        neither.
        """
        if not self.update or self.interrupted:
            self.written_claims = []
            return
        removes_stale = passed and not self.new_only
        refused = {
            (finding.suite, case) for finding in self.audit_findings for case in finding.cases
        }
        self.accepted = {
            device: [result for result in results if (result.suite, result.id) not in refused]
            for device, results in self.accepted.items()
        }
        if (
            not any(self.accepted.values())
            and not self.written_claims
            and not (removes_stale and self.stale)
        ):
            return
        pairs = {
            device: [(self.read_baseline(device, new.suite, new.id), new) for new in results]
            for device, results in self.accepted.items()
        }
        self.accepted = {
            device: [carry_over_noise(old, new) for old, new in device_pairs]
            for device, device_pairs in pairs.items()
        }
        try:
            baseline_store.write(
                self.baselines,
                self.accepted,
                self.stale if removes_stale else (),
                self._records(),
                locks,
            )
        except OSError as error:
            self.written_claims = []
            self.failure = (
                f"the baselines could not be written to {self.baselines} "
                f"({error.strerror or error})"
            )
            return
        self.written = [pair for device_pairs in pairs.values() for pair in device_pairs]
        self.stale_removed = removes_stale

    def _records(self) -> dict[str, list[ClaimRecord]]:
        """Return the claims' baselines to write, by device."""
        records: dict[str, list[ClaimRecord]] = {}
        for verdict in self.written_claims:
            if verdict.record is not None:
                records.setdefault(verdict.device, []).append(verdict.record)
        return records

    def read_baseline(self, device: str, suite: str, case: str) -> Result | None:
        """Return the baseline of a case on a device; None for one that cannot be read."""
        try:
            return baseline_store.read(
                baseline_store.path_of(self.baselines, device, suite, case), case
            )
        except baseline_store.BaselineError:
            return None

    def compared_baseline(self, device: str, suite: str, case: str) -> Result | None:
        """Return the baseline that a case was compared with: its device's, else the one for cpu."""
        devices = (
            device or baseline_store.FALLBACK_DEVICE,
            *(() if self.update else (baseline_store.FALLBACK_DEVICE,)),
        )
        return next(filter(None, (self.read_baseline(name, suite, case) for name in devices)), None)
