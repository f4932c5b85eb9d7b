"""From a baseline and a candidate to a verdict, or to the number of seeds that the question still needs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from pytest_ftcompare.compare import audit, signs
from pytest_ftcompare.compare.cost import Reading
from pytest_ftcompare.compare.environment import Difference, differences, excused
from pytest_ftcompare.compare.statistics import LOOKS, Comparison, compare
from pytest_ftcompare.result import Result

Verdict = Literal["same", "better", "worse", "changed", "undecided", "new", "incomparable", "invalid"]

# What fails a session. Undecided and incomparable fail together, when they are more than BLIND of the cases whose outcome
# counts: a gate that can't see is not green.
FAILING: frozenset[Verdict] = frozenset({"worse", "changed", "invalid", "new"})
UNSEEN: frozenset[Verdict] = frozenset({"undecided", "incomparable"})
BLIND = 0.10
WORST_FIRST: tuple[Verdict, ...] = (
    "invalid",
    "worse",
    "changed",
    "new",
    "incomparable",
    "undecided",
    "better",
    "same",
)
METRICS = ("accuracy", "accuracy_ood")
IDENTICAL = (
    "it trained and predicted the same, bit for bit"  # the note of a case that trained and predicted the same, bit for bit
)


@dataclass(frozen=True)
class Judgement:
    """The verdict on a case and everything that a reader needs to believe it."""

    id: str
    suite: str
    verdict: Verdict
    seeds: int
    comparisons: list[Comparison] = field(default_factory=list)
    signs: list[str] = field(default_factory=list)  # what differs, the earliest level first
    notes: list[str] = field(default_factory=list)
    changes: list[Difference] = field(default_factory=list)  # of the environment
    outcome: bool = True
    scores: dict[str, float] = field(default_factory=dict)  # means of the candidate, for cases without comparison
    costs: list[Reading] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Judgement:
        comparisons = [Comparison(**one) for one in data["comparisons"]]
        changes = [Difference(**one) for one in data["changes"]]
        costs = [Reading(**one) for one in data["costs"]]
        return cls(**{**data, "comparisons": comparisons, "changes": changes, "costs": costs})


@dataclass(frozen=True)
class More:
    """The question is open: ask again when the candidate has this many seeds."""

    seeds: int


def _means(result: Result) -> dict[str, float]:
    names = result.samples[0].metrics if result.samples else {}
    return {name: sum(one.metrics[name] for one in result.samples) / len(result.samples) for name in names}


def without_baseline(candidate: Result) -> Judgement:
    """`new`, or `invalid` where the result is not sound."""
    refused = list(audit.sound(candidate))
    return Judgement(
        candidate.id,
        candidate.suite,
        "invalid" if refused else "new",
        len(candidate.samples),
        signs=refused,
        outcome=candidate.outcome,
        scores=_means(candidate),
    )


def incomparable(candidate: Result, reason: str) -> Judgement:
    """The baseline belongs to another experiment."""
    return Judgement(candidate.id, candidate.suite, "incomparable", 0, notes=[reason], outcome=candidate.outcome)


def _next_look(count: int, limit: int) -> int | None:
    """The number of seeds at which to ask again after `count`, None where the limit is reached."""
    following = [look for look in LOOKS if look > count]
    return min(following[0], limit) if following and count < limit else None


@dataclass(frozen=True)
class _Evidence:
    """What a candidate computes beside its baseline, before its outcome counts."""

    found: list[str]  # differences that nothing excuses
    notes: list[str]
    identical: bool  # seed 0 trained and predicted the same, bit for bit
    alike: bool  # to rounding, the same computation


def _evidence(baseline: Result, candidate: Result, changes: list[Difference], same_device: bool) -> _Evidence:
    found = [*signs.recipe(baseline, candidate), *signs.structure(baseline, candidate)]
    before, after = baseline.sample(0), candidate.sample(0)
    if not same_device:
        note = "no baselines for this device: structure and outcomes are judged against those for cpu"
        return _Evidence(found, [note], identical=False, alike=False)
    found += signs.probe(baseline, candidate)
    if before is None or after is None:
        return _Evidence(found, ["the baseline has no seed 0"], identical=False, alike=False)
    relation = signs.trace(before.trace, after.trace)
    choices = before.predictions == after.predictions
    if choices and before.correct != after.correct:
        found.append("the same predictions of seed 0 are scored otherwise")
    sentence = None
    if relation == "changed":
        sentence = signs.where(before.trace, after.trace)
    elif relation == "identical" and not choices:
        sentence = "predictions of seed 0 differ after identical training"
    notes: list[str] = []
    if sentence is not None:
        (notes if excused(changes) else found).append(sentence)
    alike = relation != "changed" and not found
    return _Evidence(found, notes, identical=relation == "identical" and choices and not found, alike=alike)


def _room(baseline: Result) -> float:
    """How far the baseline's accuracy stands above its majority class."""
    return _means(baseline)["accuracy"] - baseline.majority["test"]


def judge(baseline: Result, candidate: Result, budget: int, *, same_device: bool = True) -> Judgement | More:
    """The verdict on `candidate`, whose samples are those of seeds 0, 1, ...; or how many seeds it takes to know.

    On a device without baselines of its own, only structure and outcomes are compared with the ones at hand.
    """
    refused = list(audit.sound(candidate))
    changes = differences(baseline.environment, candidate.environment)
    evidence = _evidence(baseline, candidate, changes, same_device)
    pairs = [(mine, one) for one in candidate.samples if (mine := baseline.sample(one.seed)) is not None]
    comparisons = [
        compare(
            name,
            [one.metrics[name] for one in baseline.samples],
            [(mine.metrics[name], one.metrics[name]) for mine, one in pairs],
            alike=evidence.alike,
            room=_room(baseline) if name == "accuracy" else None,
        )
        for name in METRICS
        if pairs
    ]
    count = len(candidate.samples)

    def conclude(verdict: Verdict, notes: list[str]) -> Judgement:
        return Judgement(
            candidate.id,
            candidate.suite,
            verdict,
            count,
            comparisons,
            refused + evidence.found,
            notes,
            changes,
            candidate.outcome,
            _means(candidate),
        )

    if refused:
        return conclude("invalid", evidence.notes)
    if evidence.identical:
        return conclude("same", [IDENTICAL])
    outcomes = {one.outcome for one in comparisons} if candidate.outcome else {"held"}
    unsettled = candidate.outcome and "worse" not in outcomes and ("open" in outcomes or count < min(LOOKS))
    following = _next_look(count, min(budget, len(baseline.samples)))
    if unsettled and following is not None:
        return More(following)
    if "worse" in outcomes:
        return conclude("worse", evidence.notes)
    if evidence.found:
        return conclude("changed", evidence.notes)
    if "open" in outcomes:
        return conclude("undecided", evidence.notes)
    return conclude("better" if "better" in outcomes else "same", evidence.notes)


def with_costs(judgement: Judgement, costs: list[Reading]) -> Judgement:
    """The judgement with what the case costs: a cost that got worse is worse, a count that moved is a change."""
    outcomes = {one.outcome for one in costs}
    verdict = judgement.verdict
    if "worse" in outcomes and verdict != "invalid":
        verdict = "worse"
    elif "changed" in outcomes and verdict in ("same", "better", "undecided"):
        verdict = "changed"
    elif "better" in outcomes and verdict == "same":
        verdict = "better"
    return replace(judgement, verdict=verdict, costs=costs)
