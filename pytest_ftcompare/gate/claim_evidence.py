"""Find a claim's evidence: results of this run, counts, and times measured in turn.

The fixture of claims (plugin/claim_fixture.py) calls it. If a case computes what its baseline does,
the claim uses the baseline's seeds, else this run's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pytest_ftcompare.compare.claims.claim import Claim, ExpectedRange
from pytest_ftcompare.compare.claims.relations import (
    Arm,
    CountRatio,
    ScoreContrast,
    TimeRatio,
    Untestable,
)
from pytest_ftcompare.compare.environment_diff import (
    differences,
    is_source_file,
    software_changed,
)
from pytest_ftcompare.compare.same_machine import NOTHING_CHANGED
from pytest_ftcompare.gate.baseline_lookup import read_baseline
from pytest_ftcompare.gate.case_work import CaseError, CaseOpener
from pytest_ftcompare.gate.run_cache import RunCache
from pytest_ftcompare.gate.run_case import CaseRun, run_case
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.claim_record import ClaimRecord
from pytest_ftcompare.results.cost_metrics import METRICS
from pytest_ftcompare.results.estimate import Estimate
from pytest_ftcompare.results.result import Json, Result, rounded

# Seconds of timing two pieces of work in turn, at most, chosen. A higher value decides more claims
# and takes longer.
MAX_SECONDS = 3.0
# Rounds of such a timing, at least, chosen. A higher value takes longer.
MIN_ROUNDS = 10
# Fields of an environment that must be equal for times to be comparable.
MACHINE_FIELDS = ("device", "cpu", "instruction set", "threads")


class CaseTables(Protocol):
    """The tables of the suites, as plugin/claim_arms.py reads them."""

    def of(self, arm: Arm) -> list[Case]:
        """Return the cases of an arm; raise `Untestable` if there are none."""


@dataclass(frozen=True)
class EstimateWithSource:
    """An estimate, and the cases and environment that it comes from."""

    estimate: Estimate
    cases: list[str]
    environment: Json


@dataclass(frozen=True)
class EvidenceFinder:
    """Finds the evidence of claims in a session.

    `collected` are the cases that have a test in this session, by suite and id: only these may be
    updated. `judged_cases` is the number of cases that share the session's error rate.
    """

    settings: Settings
    run_context: RunContext
    tables: CaseTables
    run_cache: RunCache
    collected: Mapping[tuple[str, str], Case]
    judged_cases: int
    opener: CaseOpener

    def find(self, claim: Claim) -> EstimateWithSource:
        """Return the claim's estimate.

        Raise `Untestable` if there can be none, and `CaseError` if one of its cases is broken.
        """
        relation = claim.relation
        if isinstance(relation, ScoreContrast):
            return self._find_scores(relation)
        if isinstance(relation, CountRatio):
            return self._find_counts(relation)
        return self._find_times(relation, claim.expected)

    def _find_scores(self, relation: ScoreContrast) -> EstimateWithSource:
        cells = [self.tables.of(arm) for arm in relation.arms]
        if len({len(arm_cases) for arm_cases in cells}) > 1:
            counts = ", ".join(
                f"{arm.describe()} has {len(arm_cases)}"
                for arm, arm_cases in zip(relation.arms, cells, strict=True)
            )
            raise Untestable(
                f"its arms have different numbers of cases under the profile: {counts}"
            )
        cases = {(case.suite, case.id): case for arm_cases in cells for case in arm_cases}
        case_runs = {key: self._run_case(case) for key, case in cases.items()}
        estimate = relation.estimate(
            [
                [self._select_result(case, case_runs[case.suite, case.id]) for case in arm_cases]
                for arm_cases in cells
            ]
        )
        return EstimateWithSource(
            estimate,
            [f"{suite}/{case_id}" for suite, case_id in cases],
            next(iter(case_runs.values())).result.environment,
        )

    def _settings_for(self, case: Case) -> Settings:
        """Return the case's settings; only a case with a test of its own is updated."""
        updates = (case.suite, case.id) in self.collected
        return self.settings if updates else replace(self.settings, update=False, new_only=False)

    def _run_case(self, case: Case) -> CaseRun:
        """Return the case's run; raise `CaseError` if a claim cannot use it."""
        case = self.collected.get((case.suite, case.id), case)
        case_run = self.run_cache.for_claim(
            case,
            lambda: run_case(
                case, self._settings_for(case), self.run_context, self.opener, self.judged_cases
            ),
        )
        if case_run.verdict.verdict == "invalid":
            raise CaseError(
                f"it rests on {case.id}, which is invalid: "
                f"{'; '.join(case_run.verdict.divergences)}"
            )
        accepting = self.settings.update or self.settings.new_only
        if case_run.verdict.verdict == "new" and not case_run.update and accepting:
            raise CaseError(
                f"it rests on {case.id}, which has no baseline: update that first, or both together"
            )
        return case_run

    def _select_result(self, case: Case, case_run: CaseRun) -> Result:
        """Return the baseline if the case computes the same, else this run's result."""
        if case_run.update or not (
            case_run.verdict.identical or case_run.verdict.verdict == "same"
        ):
            return case_run.result
        baseline = read_baseline(case, self._settings_for(case), case_run.device)
        return case_run.result if baseline is None else baseline

    def _find_counts(self, relation: CountRatio) -> EstimateWithSource:
        cases = [with_overrides(self.tables.of(arm)[0], arm) for arm in relation.arms]
        counts = [self._count(case, arm) for case, arm in zip(cases, relation.arms, strict=True)]
        return EstimateWithSource(
            relation.estimate([count for count, _ in counts]),
            [_case_name(case) for case in cases],
            counts[0][1],
        )

    def _count(self, case: Case, arm: Arm) -> tuple[dict[str, float], Json]:
        """Return the counts of one update by name, and the environment.

        They come from this run's result, or are counted for the claim.
        """
        case_run = None if arm.overrides else self.run_cache.read(case)
        if case_run is not None and "execution" in case_run.result.signature:
            return {
                **case_run.result.signature["structure"],
                **case_run.result.signature["execution"],
            }, case_run.result.environment
        return self.opener.count(case, self.settings, self.run_context)

    def _find_times(self, relation: TimeRatio, expected: ExpectedRange) -> EstimateWithSource:
        if self.run_context.clock is None:
            raise Untestable("not timed: pytest-benchmark is off")
        cases = self._timed_cases(relation)
        between = METRICS[relation.piece.removeprefix("merged ")].between

        def is_enough(rounds: Sequence[tuple[float, float]], seconds: float) -> bool:
            undecided = expected.outcome(relation.estimate(rounds, between)) == "undecided"
            return len(rounds) >= MIN_ROUNDS and (not undecided or seconds > MAX_SECONDS)

        pieces = list(zip(cases, relation.pieces, strict=True))
        rounds = self.opener.time_in_turn(pieces, self.settings, self.run_context, is_enough)
        return EstimateWithSource(
            relation.estimate(rounds, between),
            [_case_name(case) for case in cases],
            self._environment(relation),
        )

    def _timed_cases(self, relation: TimeRatio) -> list[Case]:
        return [with_overrides(self.tables.of(arm)[0], arm) for arm in relation.arms]

    def _environment(self, relation: TimeRatio) -> Json:
        """Return the environment in which the cases of a relation are timed."""
        return self.opener.environment(self._timed_cases(relation), self.settings, self.run_context)

    def why_untimed(self, claim: Claim) -> tuple[str, str]:
        """Return why a claim is not timed, or "", and the device.

        A claim about time is not timed if its baseline could not judge the time.
        """
        settings = self.settings
        if (
            not isinstance(claim.relation, TimeRatio)
            or settings.update
            or settings.full
            or self.run_context.clock is None
        ):
            return "", ""
        environment = self._environment(claim.relation)
        device = str(environment.get("device", baseline_store.FALLBACK_DEVICE))
        baseline = read_claim_baseline(claim, settings, device)
        if baseline is None or baseline.statistic != claim.statistic:
            return "", device
        judged = settings.strict_times or software_changed(
            differences(baseline.environment, environment)
        )
        return machine_difference(claim, baseline, environment) or (
            "" if judged else NOTHING_CHANGED
        ), device


def with_overrides(case: Case, arm: Arm) -> Case:
    """Return the case with the arm's options, which override its table's."""
    return (
        replace(case, options=tuple(sorted({**dict(case.options), **arm.overrides}.items())))
        if arm.overrides
        else case
    )


def _case_name(case: Case) -> str:
    return f"{case.suite}/{case.id}"


def make_record(
    claim: Claim, suite: str, settings: Settings, evidence: EstimateWithSource
) -> ClaimRecord:
    """Return the record that would be the claim's baseline."""
    return ClaimRecord(
        name=claim.name,
        suite=suite,
        profile=settings.profile.name,
        study=claim.study,
        statement=claim.statement,
        source=claim.source,
        statistic=claim.statistic,
        outcome=claim.expected.outcome(evidence.estimate),
        estimate=replace(
            evidence.estimate,
            value=rounded(evidence.estimate.value),
            error=evidence.estimate.error and rounded(evidence.estimate.error),
            freedom=rounded(evidence.estimate.freedom),
        ),
        cases=evidence.cases,
        # Digests of source files show whether a time may have changed.
        environment={
            name: value
            for name, value in evidence.environment.items()
            if not is_source_file(name) or isinstance(claim.relation, TimeRatio)
        },
    )


def read_claim_baseline(claim: Claim, settings: Settings, device: str) -> ClaimRecord | None:
    """Return the claim's baseline for the device, else the one for cpu, else None.

    An update and a claim about time use only the device's own. Raise `CaseError` for a file that
    cannot be read; an update skips it.
    """
    writes = settings.update or settings.new_only
    own_device_only = writes or isinstance(claim.relation, TimeRatio)
    for name in (
        (device,) if own_device_only else dict.fromkeys((device, baseline_store.FALLBACK_DEVICE))
    ):
        path = baseline_store.path_of_claim(
            settings.baselines, name, settings.profile.name, claim.name
        )
        try:
            if (record := baseline_store.read_claim(path, claim.name)) is not None:
                return record
        except baseline_store.BaselineError as error:
            # An update replaces the file.
            if not writes:
                raise CaseError(str(error)) from None
    return None


def machine_difference(claim: Claim, baseline: ClaimRecord | None, environment: Json) -> str:
    """Return why a claim about time is not comparable with its baseline, "" if it is."""
    if baseline is None or not isinstance(claim.relation, TimeRatio):
        return ""
    changed = [
        name for name in MACHINE_FIELDS if baseline.environment.get(name) != environment.get(name)
    ]
    return "; ".join(
        f"{name} {baseline.environment.get(name)} -> {environment.get(name)}" for name in changed
    )
