"""Judge a candidate against its baseline: a verdict, or the number of seeds that it still needs.

The gate calls `judge` after each look, and `with_costs` once costs are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from pytest_ftcompare.compare import audit, divergence
from pytest_ftcompare.compare.divergence import Divergence
from pytest_ftcompare.compare.environment_diff import Difference, differences, has_library_change
from pytest_ftcompare.compare.known_faults import why_kernels_differ
from pytest_ftcompare.compare.measured_cost import CostComparison
from pytest_ftcompare.compare.noise import DEFAULT_PRIOR, SCORE_METRICS, VarianceEstimate
from pytest_ftcompare.compare.pairing import correlation, scores_by_key
from pytest_ftcompare.compare.sequential_test import ScoreComparison, compare_scores, next_look
from pytest_ftcompare.compare.tolerances import tolerances_of
from pytest_ftcompare.results.allowance import CaseAllowance
from pytest_ftcompare.results.result import Result

VerdictName = Literal[
    "same", "better", "worse", "changed", "undecided", "new", "incomparable", "invalid"
]

# Verdicts that fail a case's test. `session_verdict.py` adds what fails a session;
# docs/statistics.md has the table.
FAILING: frozenset[VerdictName] = frozenset({"worse", "changed", "invalid", "new"})
# Those of them that an allowance may let pass.
TOLERABLE: frozenset[VerdictName] = frozenset({"worse", "changed"})
WORST_FIRST: tuple[VerdictName, ...] = (
    "invalid",
    "worse",
    "changed",
    "new",
    "incomparable",
    "undecided",
    "better",
    "same",
)
# Notes that are stored and compared by equality.
IDENTICAL = "it trained and predicted the same, bit for bit"
SHORT_TRAINING = (
    "nothing changed, and a short training repeated bit for bit: the whole one was not repeated"
)
OTHER_DEVICE = (
    "no baselines for this device: structure and outcomes are judged against those for cpu"
)


def repeated_bit_for_bit(notes: Iterable[str]) -> bool:
    """Check whether the notes of a verdict or of a document's case state a bit for bit repeat."""
    return any(note in (IDENTICAL, SHORT_TRAINING) for note in notes)


@dataclass(frozen=True)
class CaseVerdict:
    """The verdict on a case and its evidence.

    `divergences` are the differences that count, the earliest level first, and `levels` are theirs.
    `first_divergence` is the level at which the run first differs from its baseline, or "".
    `allowances` are those that name the case; `uncovered` names what failed and none of them covers
    (compare/allowances.py).
    """

    id: str
    suite: str
    verdict: VerdictName
    seeds: int
    comparisons: list[ScoreComparison] = field(default_factory=list)
    divergences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changes: list[Difference] = field(default_factory=list)  # of the environment
    judge_accuracy: bool = True
    # The candidate's mean scores, for cases without comparison.
    scores: dict[str, float] = field(default_factory=dict)
    costs: list[CostComparison] = field(default_factory=list)
    first_divergence: str = ""
    levels: list[str] = field(default_factory=list)
    allowances: list[CaseAllowance] = field(default_factory=list)
    uncovered: list[str] = field(default_factory=list)
    # Task and number of examples: cases that share both draw the same training rows. "" if unknown.
    training_rows: str = ""

    @property
    def allowed(self) -> bool:
        """Whether allowances explain the failure wholly."""
        covers = any(allowance.state == "covers" for allowance in self.allowances)
        return self.verdict in TOLERABLE and covers and not self.uncovered

    @property
    def fails(self) -> bool:
        """Whether the case's test fails."""
        return self.verdict in FAILING and not self.allowed

    @property
    def identical(self) -> bool:
        """Whether the run repeated its baseline bit for bit."""
        return repeated_bit_for_bit(self.notes)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CaseVerdict:
        comparisons = [ScoreComparison(**entry) for entry in data["comparisons"]]
        changes = [Difference(**entry) for entry in data["changes"]]
        costs = [CostComparison(**entry) for entry in data["costs"]]
        allowances = [CaseAllowance(**entry) for entry in data.get("allowances", ())]
        read = {"comparisons": comparisons, "changes": changes, "costs": costs}
        return cls(**{**data, **read, "allowances": allowances})


@dataclass(frozen=True)
class NeedMoreSeeds:
    """The question is open: judge again when the candidate has this many seeds."""

    seeds: int


@dataclass(frozen=True)
class JudgingCriteria:
    """Settings of the judge: priors of the noise by metric, the error rate, strictness.

    `alpha_share` is each test's share of the session's error rate. With `strict`, a changed trace
    fails a case even after an upgrade. `allowed` are scores that an allowance names for the case: a
    loss of one does not settle the others.
    """

    priors: Mapping[str, VarianceEstimate] = field(default_factory=dict)
    alpha_share: float = 1.0
    strict: bool = False
    allowed: frozenset[str] = frozenset()


def _means(result: Result) -> dict[str, float]:
    names = result.seed_results[0].metrics if result.seed_results else {}
    return {
        name: sum(seed_result.metrics[name] for seed_result in result.seed_results)
        / len(result.seed_results)
        for name in names
    }


def _training_rows(result: Result) -> str:
    """Name a case's task and number of examples; "" for a result of another tool without them."""
    identity = result.identity
    return f"{identity['task']} n{identity['shots']}" if "shots" in identity else ""


def without_baseline(candidate: Result) -> CaseVerdict:
    """Return `new`, or `invalid` if an audit refuses the result."""
    refused = list(audit.audit_validity(candidate))
    return CaseVerdict(
        candidate.id,
        candidate.suite,
        "invalid" if refused else "new",
        len(candidate.seed_results),
        divergences=refused,
        judge_accuracy=candidate.judge_accuracy,
        scores=_means(candidate),
        first_divergence="invariant" if refused else "",
    )


def incomparable(candidate: Result, reason: str) -> CaseVerdict:
    """Return `incomparable`: the baseline belongs to another experiment, for this reason."""
    return CaseVerdict(
        candidate.id,
        candidate.suite,
        "incomparable",
        0,
        notes=[reason],
        judge_accuracy=candidate.judge_accuracy,
    )


@dataclass(frozen=True)
class _Evidence:
    """How a candidate's computation differs from its baseline's, without its scores."""

    unexplained: list[Divergence]
    explained: list[Divergence]  # by a change of a library or the device
    notes: list[str]
    identical: bool  # seed 0 trained and predicted the same, bit for bit


def _evidence(
    baseline: Result, candidate: Result, changes: list[Difference], same_device: bool
) -> _Evidence:
    unexplained = [
        *divergence.compare_recipes(baseline, candidate),
        *divergence.compare_structures(baseline, candidate),
    ]
    before, after = baseline.seed_result(0), candidate.seed_result(0)
    if not same_device:
        return _Evidence(unexplained, [], [OTHER_DEVICE], identical=False)
    method = str(candidate.identity.get("method"))
    if reason := why_kernels_differ(method, baseline.environment, candidate.environment):
        return _Evidence(unexplained, [], [reason], identical=False)
    unexplained += [
        *divergence.compare_probes(baseline, candidate),
        *divergence.compare_random_draws(baseline, candidate),
    ]
    if before is None or after is None:
        return _Evidence(unexplained, [], ["the baseline has no seed 0"], identical=False)
    tolerances = tolerances_of(baseline)
    relation = divergence.compare_traces(before.trace, after.trace, tolerances)
    same_predictions = before.predictions_digest == after.predictions_digest
    unexplained += divergence.compare_scored_rows(before, after)
    difference = None
    # A GPU's baseline keeps a short training only if it repeated bit for bit.
    repeats = baseline.environment.get("device") == "cpu" or bool(baseline.short_training)
    if relation == "changed":
        difference = divergence.first_divergence(before.trace, after.trace, tolerances)
    elif relation == "identical" and not same_predictions and repeats:
        difference = divergence.compare_predictions(before, after)
    elif (
        relation == "equivalent" and all(change.name == "commit" for change in changes) and repeats
    ):
        difference = divergence.compare_last_digits(before.trace, after.trace)
    explained: list[Divergence] = []
    if difference is not None:
        (explained if has_library_change(changes) else unexplained).append(difference)
    return _Evidence(
        unexplained,
        explained,
        [],
        identical=relation == "identical" and same_predictions and not unexplained,
    )


def _compare_metrics(
    baseline: Result, candidate: Result, criteria: JudgingCriteria
) -> list[ScoreComparison]:
    comparisons = []
    for metric, split in SCORE_METRICS.items():
        base, new = (
            scores_by_key(baseline.seed_results, metric),
            scores_by_key(candidate.seed_results, metric),
        )
        if base and new:
            rho = correlation(baseline.seed_results, candidate.seed_results, split)
            prior = criteria.priors.get(metric, DEFAULT_PRIOR)
            # Noise carried over from scores that the baseline no longer has.
            if carried := baseline.noise.get(metric):
                prior = prior.combined(
                    VarianceEstimate(carried["squares"] / carried["freedom"], carried["freedom"])
                )
            comparisons.append(
                compare_scores(
                    metric, base, new, rho=rho, prior=prior, alpha_share=criteria.alpha_share
                )
            )
    return comparisons


def judge(
    baseline: Result,
    candidate: Result,
    budget: int,
    *,
    same_device: bool = True,
    criteria: JudgingCriteria | None = None,
) -> CaseVerdict | NeedMoreSeeds:
    """Return the verdict on `candidate`, which has seeds 0, 1, ..., or the seeds it needs.

    `budget` is the largest number of seeds. Without `same_device`, the baseline is of another
    device, so only structure and scores are compared.
    """
    criteria = JudgingCriteria() if criteria is None else criteria
    refused = [Divergence("invariant", text) for text in audit.audit_validity(candidate)]
    changes = differences(baseline.environment, candidate.environment)
    evidence = _evidence(baseline, candidate, changes, same_device)
    failing = [*evidence.unexplained, *(evidence.explained if criteria.strict else ())]
    comparisons = _compare_metrics(baseline, candidate, criteria)
    outcomes = (
        {comparison.outcome for comparison in comparisons}
        if candidate.judge_accuracy
        else {"equivalent"}
    )

    def conclude(verdict: VerdictName, notes: Iterable[str] = ()) -> CaseVerdict:
        moved = [
            Divergence("outcome", comparison.metric)
            for comparison in comparisons
            if candidate.judge_accuracy and comparison.outcome in ("worse", "better")
        ]
        all_divergences = [*refused, *failing, *evidence.explained, *moved]
        return CaseVerdict(
            candidate.id,
            candidate.suite,
            verdict,
            len(candidate.seed_results),
            comparisons,
            [difference.text for difference in [*refused, *failing]],
            [
                *notes,
                *evidence.notes,
                *(
                    difference.text
                    for difference in evidence.explained
                    if difference not in failing
                ),
            ],
            changes,
            candidate.judge_accuracy,
            _means(candidate),
            first_divergence=all_divergences[0].level if all_divergences else "",
            training_rows=_training_rows(candidate),
            levels=[difference.level for difference in [*refused, *failing]],
        )

    if refused:
        return conclude("invalid")
    if evidence.identical:
        return conclude("same", [IDENTICAL])
    more_seeds = next_look(len(candidate.seed_results), budget)
    settled_by = {
        comparison.metric for comparison in comparisons if comparison.outcome == "worse"
    } - criteria.allowed
    if "open" in outcomes and not settled_by and more_seeds is not None:
        return NeedMoreSeeds(more_seeds)
    if "worse" in outcomes:
        return conclude("worse")
    if failing:
        return conclude("changed")
    if "open" in outcomes:
        return conclude("undecided")
    return conclude("better" if "better" in outcomes else "same")


def with_costs(case_verdict: CaseVerdict, costs: list[CostComparison]) -> CaseVerdict:
    """Return the verdict with costs: a worse cost is `worse`, a different count `changed`."""
    outcomes = {cost.outcome for cost in costs}
    verdict = case_verdict.verdict
    if "worse" in outcomes and verdict != "invalid":
        verdict = "worse"
    elif "changed" in outcomes and verdict in ("same", "better", "undecided"):
        verdict = "changed"
    elif "better" in outcomes and verdict == "same":
        verdict = "better"
    level = case_verdict.first_divergence or (
        "cost" if outcomes & {"worse", "changed", "better"} else ""
    )
    return replace(case_verdict, verdict=verdict, costs=costs, first_divergence=level)
