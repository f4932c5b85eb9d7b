"""From a baseline and a candidate to a verdict, or to the number of seeds that the question still needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from pytest_ftcompare.compare import audit, divergence
from pytest_ftcompare.compare.divergence import Divergence
from pytest_ftcompare.compare.environment_diff import Difference, differences, has_library_change
from pytest_ftcompare.compare.known_faults import why_kernels_differ
from pytest_ftcompare.compare.measured_cost import CostComparison
from pytest_ftcompare.compare.noise import SCORE_METRICS, DEFAULT_PRIOR, VarianceEstimate
from pytest_ftcompare.compare.pairing import correlation, scores_by_key
from pytest_ftcompare.compare.sequential_test import ScoreComparison, compare_scores, next_look
from pytest_ftcompare.results.result import Result

VerdictName = Literal[
    "same", "better", "worse", "changed", "undecided", "new", "incomparable", "invalid"
]

# What fails a case's test; what fails a session besides is in `session_verdict.py`. docs/statistics.md has the whole table.
FAILING: frozenset[VerdictName] = frozenset({"worse", "changed", "invalid", "new"})
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
IDENTICAL = "it trained and predicted the same, bit for bit"  # the note of a case that trained and predicted the same, bit for bit
SHORT_TRAINING = (
    "nothing changed, and a short training repeated bit for bit: the whole one was not repeated"
)
OTHER_DEVICE = (
    "no baselines for this device: structure and outcomes are judged against those for cpu"
)


def repeated_bit_for_bit(notes: Iterable[str]) -> bool:
    """Whether the notes of a case, of a verdict or a document, say that it repeated bit for bit."""
    return any(note in (IDENTICAL, SHORT_TRAINING) for note in notes)


@dataclass(frozen=True)
class CaseVerdict:
    """The verdict on a case and everything that a reader needs to believe it.

    `began` is the first level at which the run left its baseline, "" where it did not; `signs` are the differences that
    count, the earliest level first.
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
    scores: dict[str, float] = field(
        default_factory=dict
    )  # means of the candidate, for cases without comparison
    costs: list[CostComparison] = field(default_factory=list)
    first_divergence: str = ""

    @property
    def identical(self) -> bool:
        """Whether nothing that was computed moved."""
        return repeated_bit_for_bit(self.notes)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CaseVerdict:
        comparisons = [ScoreComparison(**one) for one in data["comparisons"]]
        changes = [Difference(**one) for one in data["changes"]]
        costs = [CostComparison(**one) for one in data["costs"]]
        return cls(**{**data, "comparisons": comparisons, "changes": changes, "costs": costs})


@dataclass(frozen=True)
class NeedMoreSeeds:
    """The question is open: ask again when the candidate has this many seeds."""

    seeds: int


@dataclass(frozen=True)
class JudgingCriteria:
    """What a case is judged by besides its samples: what its suite taught of each metric's noise, the part of the session's
    error rate that each of its tests may use, and whether a note about its trace fails it."""

    priors: Mapping[str, VarianceEstimate] = field(default_factory=dict)
    alpha_share: float = 1.0
    strict: bool = False


def _means(result: Result) -> dict[str, float]:
    names = result.seed_results[0].metrics if result.seed_results else {}
    return {
        name: sum(one.metrics[name] for one in result.seed_results) / len(result.seed_results)
        for name in names
    }


def without_baseline(candidate: Result) -> CaseVerdict:
    """`new`, or `invalid` where the result is not sound."""
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
    """The baseline belongs to another experiment."""
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
    """What a candidate computes beside its baseline, before its outcome counts."""

    unexplained: list[Divergence]  # differences that nothing excuses
    explained: list[Divergence]  # differences that the environment may explain
    notes: list[str]
    identical: bool  # seed 0 trained and predicted the same, bit for bit


def _evidence(
    baseline: Result, candidate: Result, changes: list[Difference], same_device: bool
) -> _Evidence:
    found = [
        *divergence.compare_recipes(baseline, candidate),
        *divergence.compare_structures(baseline, candidate),
    ]
    before, after = baseline.seed_result(0), candidate.seed_result(0)
    if not same_device:
        return _Evidence(found, [], [OTHER_DEVICE], identical=False)
    method = str(candidate.identity.get("method"))
    if why := why_kernels_differ(method, baseline.environment, candidate.environment):
        return _Evidence(found, [], [why], identical=False)
    found += [
        *divergence.compare_probes(baseline, candidate),
        *divergence.compare_random_draws(baseline, candidate),
    ]
    if before is None or after is None:
        return _Evidence(found, [], ["the baseline has no seed 0"], identical=False)
    relation = divergence.compare_traces(before.trace, after.trace)
    chosen = before.predictions_digest == after.predictions_digest
    found += divergence.compare_scored_rows(before, after)
    sign = None
    if relation == "changed":
        sign = divergence.first_divergence(before.trace, after.trace)
    elif relation == "identical" and not chosen:
        sign = divergence.compare_predictions(before, after)
    elif (
        relation == "equivalent"
        and all(one.name == "commit" for one in changes)
        and baseline.environment.get("device") == "cpu"
    ):
        sign = divergence.compare_last_digits(before.trace, after.trace)
    noted: list[Divergence] = []
    if sign is not None:
        (noted if has_library_change(changes) else found).append(sign)
    return _Evidence(found, noted, [], identical=relation == "identical" and chosen and not found)


def _compare_metrics(
    baseline: Result, candidate: Result, terms: JudgingCriteria
) -> list[ScoreComparison]:
    found = []
    for metric, split in SCORE_METRICS.items():
        base, new = (
            scores_by_key(baseline.seed_results, metric),
            scores_by_key(candidate.seed_results, metric),
        )
        if base and new:
            rho = correlation(baseline.seed_results, candidate.seed_results, split)
            known = terms.priors.get(metric, DEFAULT_PRIOR)
            if taught := baseline.noise.get(metric):  # by samples that the baseline holds no more
                known = known.combined(
                    VarianceEstimate(taught["squares"] / taught["freedom"], taught["freedom"])
                )
            found.append(
                compare_scores(
                    metric, base, new, rho=rho, prior=known, alpha_share=terms.alpha_share
                )
            )
    return found


def judge(
    baseline: Result,
    candidate: Result,
    budget: int,
    *,
    same_device: bool = True,
    criteria: JudgingCriteria | None = None,
) -> CaseVerdict | NeedMoreSeeds:
    """The verdict on `candidate`, whose samples are those of seeds 0, 1, ...; or how many seeds it takes to know.

    On a device without baselines of its own, only structure and outcomes are compared with the ones at hand.
    """
    criteria = JudgingCriteria() if criteria is None else criteria
    refused = [Divergence("invariant", one) for one in audit.audit_validity(candidate)]
    changes = differences(baseline.environment, candidate.environment)
    evidence = _evidence(baseline, candidate, changes, same_device)
    found = [*evidence.unexplained, *(evidence.explained if criteria.strict else ())]
    comparisons = _compare_metrics(baseline, candidate, criteria)
    outcomes = {one.outcome for one in comparisons} if candidate.judge_accuracy else {"equivalent"}

    def conclude(verdict: VerdictName, notes: Iterable[str] = ()) -> CaseVerdict:
        moved = [
            Divergence("outcome", one.metric)
            for one in comparisons
            if candidate.judge_accuracy and one.outcome in ("worse", "better")
        ]
        levels = [*refused, *found, *evidence.explained, *moved]
        return CaseVerdict(
            candidate.id,
            candidate.suite,
            verdict,
            len(candidate.seed_results),
            comparisons,
            [one.text for one in [*refused, *found]],
            [
                *notes,
                *evidence.notes,
                *(one.text for one in evidence.explained if one not in found),
            ],
            changes,
            candidate.judge_accuracy,
            _means(candidate),
            first_divergence=levels[0].level if levels else "",
        )

    if refused:
        return conclude("invalid")
    if evidence.identical:
        return conclude("same", [IDENTICAL])
    following_look = next_look(len(candidate.seed_results), budget)
    if "open" in outcomes and "worse" not in outcomes and following_look is not None:
        return NeedMoreSeeds(following_look)
    if "worse" in outcomes:
        return conclude("worse")
    if found:
        return conclude("changed")
    if "open" in outcomes:
        return conclude("undecided")
    return conclude("better" if "better" in outcomes else "same")


def with_costs(case_verdict: CaseVerdict, costs: list[CostComparison]) -> CaseVerdict:
    """The verdict with what the case costs: a cost that got worse is worse, a count that moved is a change."""
    outcomes = {one.outcome for one in costs}
    verdict = case_verdict.verdict
    if "worse" in outcomes and verdict != "invalid":
        verdict = "worse"
    elif "changed" in outcomes and verdict in ("same", "better", "undecided"):
        verdict = "changed"
    elif "better" in outcomes and verdict == "same":
        verdict = "better"
    began = case_verdict.first_divergence or (
        "cost" if outcomes & {"worse", "changed", "better"} else ""
    )
    return replace(case_verdict, verdict=verdict, costs=costs, first_divergence=began)
