"""What a claim rests on: results of this run, counts, times side by side; and the record that comes of them.

Where nothing moved that a case computes, its baseline's seeds stand for it; otherwise the seeds of this run do.
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
from pytest_ftcompare.compare.environment_diff import differences, software_changed
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

MAX_SECONDS = 3.0  # seconds of a timing side by side, at most
MIN_ROUNDS = 10  # rounds of it, at least
MACHINE = (
    "device",
    "cpu",
    "instruction set",
    "threads",
)  # with another of these, times are another's


class CaseTables(Protocol):
    """The tables of the suites, as plugin/claim_arms.py reads them."""

    def of(self, arm: Arm) -> list[Case]:
        """The cases of an arm; `Untestable` where there are none."""


@dataclass(frozen=True)
class EstimateWithSource:
    """An estimate, the cases and the environment that it comes from."""

    estimate: Estimate
    cases: list[str]
    environment: Json


@dataclass(frozen=True)
class EvidenceFinder:
    """Where a claim finds what it needs.

    `collected` are the cases that have a test in this session, which share its error rate if they are `judged`: only those
    may be updated.
    """

    settings: Settings
    run_context: RunContext
    tables: CaseTables
    run_cache: RunCache
    collected: Mapping[tuple[str, str], Case]
    judged_cases: int
    opener: CaseOpener

    def find(self, claim: Claim) -> EstimateWithSource:
        """The claim's estimate; `Untestable` where there can be none, `CaseError` where a case of it is broken."""
        relation = claim.relation
        if isinstance(relation, ScoreContrast):
            return self._scores(relation)
        if isinstance(relation, CountRatio):
            return self._counts(relation)
        return self._times(relation, claim.expected)

    def _scores(self, relation: ScoreContrast) -> EstimateWithSource:
        cells = [self.tables.of(arm) for arm in relation.arms]
        if len({len(one) for one in cells}) > 1:
            counts = ", ".join(
                f"{arm.describe()} has {len(one)}"
                for arm, one in zip(relation.arms, cells, strict=True)
            )
            raise Untestable(
                f"its arms have different numbers of cases under the profile: {counts}"
            )
        cases = {(one.suite, one.id): one for arm in cells for one in arm}
        held = {key: self._held(case) for key, case in cases.items()}
        estimate = relation.estimate(
            [[self._stands(one, held[one.suite, one.id]) for one in arm] for arm in cells]
        )
        return EstimateWithSource(
            estimate,
            [f"{suite}/{case}" for suite, case in cases],
            next(iter(held.values())).result.environment,
        )

    def _for(self, case: Case) -> Settings:
        """The settings by which the case runs: only one with a test of its own is updated."""
        updates = (case.suite, case.id) in self.collected
        return self.settings if updates else replace(self.settings, update=False, new_only=False)

    def _held(self, case: Case) -> CaseRun:
        case = self.collected.get((case.suite, case.id), case)
        held = self.run_cache.for_claim(
            case,
            lambda: run_case(case, self._for(case), self.run_context, self.opener, self.judged_cases),
        )
        if held.verdict.verdict == "invalid":
            raise CaseError(
                f"it rests on {case.id}, which is invalid: {'; '.join(held.verdict.divergences)}"
            )
        if held.verdict.verdict == "new" and not held.update and self.settings.update:
            raise CaseError(
                f"it rests on {case.id}, which has no baseline: update that first, or both together"
            )
        return held

    def _stands(self, case: Case, held: CaseRun) -> Result:
        """The result that stands for the case."""
        if held.update or not (held.verdict.identical or held.verdict.verdict == "same"):
            return held.result
        accepted = read_baseline(case, self._for(case), held.device)
        return held.result if accepted is None else accepted

    def _counts(self, relation: CountRatio) -> EstimateWithSource:
        cases = [with_overrides(self.tables.of(arm)[0], arm) for arm in relation.arms]
        found = [self._counted(case, arm) for case, arm in zip(cases, relation.arms, strict=True)]
        return EstimateWithSource(
            relation.estimate([one for one, _ in found]), [_name(one) for one in cases], found[0][1]
        )

    def _counted(self, case: Case, arm: Arm) -> tuple[dict[str, float], Json]:
        """Counts of one update by name, and the environment: this run's, or made for the claim."""
        left = None if arm.overrides else self.run_cache.read(case)
        if left is not None and "execution" in left.result.signature:
            return {
                **left.result.signature["structure"],
                **left.result.signature["execution"],
            }, left.result.environment
        return self.opener.count(case, self.settings, self.run_context)

    def _times(self, relation: TimeRatio, expected: ExpectedRange) -> EstimateWithSource:
        if self.run_context.clock is None:
            raise Untestable("not timed: pytest-benchmark is off")
        cases = self._timed_cases(relation)
        between = METRICS[relation.piece.removeprefix("merged ")].between

        def is_enough(taken: Sequence[tuple[float, float]], seconds: float) -> bool:
            undecided = expected.outcome(relation.estimate(taken, between)) == "undecided"
            return len(taken) >= MIN_ROUNDS and (not undecided or seconds > MAX_SECONDS)

        pieces = list(zip(cases, relation.pieces, strict=True))
        taken = self.opener.time_in_turn(pieces, self.settings, self.run_context, is_enough)
        return EstimateWithSource(
            relation.estimate(taken, between),
            [_name(one) for one in cases],
            self._environment(relation),
        )

    def _timed_cases(self, relation: TimeRatio) -> list[Case]:
        return [with_overrides(self.tables.of(arm)[0], arm) for arm in relation.arms]

    def _environment(self, relation: TimeRatio) -> Json:
        """What the cases of a relation are timed in."""
        return self.opener.environment(self._timed_cases(relation), self.settings, self.run_context)

    def why_untimed(self, claim: Claim) -> tuple[str, str]:
        """Why a claim about time is not timed, as its baseline could judge no time, or ""; the device."""
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
        before = read_claim_baseline(claim, settings, device)
        if before is None or before.statistic != claim.statistic:
            return "", device
        moved = settings.strict_times or software_changed(
            differences(before.environment, environment)
        )
        return machine_difference(claim, before, environment) or ("" if moved else NOTHING_CHANGED), device


def with_overrides(case: Case, arm: Arm) -> Case:
    """The case with the arm's own options over its table's."""
    return (
        replace(case, options=tuple(sorted({**dict(case.options), **arm.overrides}.items())))
        if arm.overrides
        else case
    )


def _name(case: Case) -> str:
    return f"{case.suite}/{case.id}"


def make_record(
    claim: Claim, suite: str, settings: Settings, found: EstimateWithSource
) -> ClaimRecord:
    """What the claim's baseline would hold."""
    return ClaimRecord(
        name=claim.name,
        suite=suite,
        profile=settings.profile.name,
        study=claim.study,
        statement=claim.statement,
        source=claim.source,
        statistic=claim.statistic,
        outcome=claim.expected.outcome(found.estimate),
        estimate=replace(
            found.estimate,
            value=rounded(found.estimate.value),
            error=found.estimate.error and rounded(found.estimate.error),
            freedom=rounded(found.estimate.freedom),
        ),
        cases=found.cases,
        environment={
            name: value
            for name, value in found.environment.items()
            if "/" not in name
            or isinstance(claim.relation, TimeRatio)  # which code it is of says if a time may move
        },
    )


def read_claim_baseline(claim: Claim, settings: Settings, device: str) -> ClaimRecord | None:
    """The claim's baseline for this device; where there is none, the one for cpu, unless it is about time."""
    writes = settings.update or settings.new_only
    alone = writes or isinstance(claim.relation, TimeRatio)
    for one in (device,) if alone else dict.fromkeys((device, baseline_store.FALLBACK_DEVICE)):
        path = baseline_store.path_of_claim(
            settings.baselines, one, settings.profile.name, claim.name
        )
        try:
            if (found := baseline_store.read_claim(path, claim.name)) is not None:
                return found
        except baseline_store.BaselineError as error:
            if not writes:  # else it is about to be made again
                raise CaseError(str(error)) from None
    return None


def machine_difference(claim: Claim, before: ClaimRecord | None, environment: Json) -> str:
    """Why a claim about time is not comparable with its baseline, "" where it is."""
    if before is None or not isinstance(claim.relation, TimeRatio):
        return ""
    moved = [name for name in MACHINE if before.environment.get(name) != environment.get(name)]
    return "; ".join(
        f"{name} {before.environment.get(name)} -> {environment.get(name)}" for name in moved
    )
