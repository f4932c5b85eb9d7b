"""From a baseline and a candidate to a verdict, or to the number of seeds that the question still needs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pytest_ftcompare.compare import audit, signs
from pytest_ftcompare.compare.environment import Difference, differences, excused
from pytest_ftcompare.compare.statistics import LOOKS, Comparison, compare
from pytest_ftcompare.result import Result

Verdict = Literal["same", "better", "worse", "changed", "undecided", "new", "incomparable", "invalid"]

# What fails a session. `new` fails only on the device that has baselines; undecided and incomparable fail together,
# when they are more than BLIND of the cases whose outcome counts: a gate that can't see is not green.
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

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Judgement:
        comparisons = [Comparison(**one) for one in data["comparisons"]]
        changes = [Difference(**one) for one in data["changes"]]
        return cls(**{**data, "comparisons": comparisons, "changes": changes})


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


def _alternatives(count: int, budget: int, available: int) -> int | None:
    """The next look after `count` seeds, None when the budget or the baseline has no more."""
    limit = min(budget, available)
    following = [look for look in LOOKS if look > count]
    return min(following[0], limit) if following and count < limit else None


def judge(baseline: Result, candidate: Result, budget: int, *, same_device: bool = True) -> Judgement | More:
    """The verdict on `candidate`, whose samples are those of seeds 0, 1, ...; or how many seeds it takes to know.

    On a device without baselines of its own, only structure and outcomes are compared with the ones at hand.
    """
    refused = list(audit.sound(candidate))
    changes = differences(baseline.environment, candidate.environment)
    before, after = baseline.sample(0), candidate.sample(0)
    assert after is not None
    found = signs.structure(baseline, candidate)
    relation: signs.Relation = "changed"
    notes: list[str] = []
    if same_device and before is not None:
        found += signs.probe(baseline, candidate)
        relation = signs.trace(before.trace, after.trace)
        same_choices = before.predictions == after.predictions
        if relation == "identical" and not same_choices and baseline.probe == candidate.probe:
            found.append("predictions of seed 0 differ after identical training")
        if relation == "changed":
            sentence = signs.where(before.trace, after.trace)
            (notes if excused(changes) else found).append(sentence)
        if relation == "identical" and same_choices and not found and not refused:
            pairs = [(before, after)]
            return _judgement(baseline, candidate, "same", pairs, found, ["identical"], changes, alike=True)
    elif not same_device:
        notes.append("no baselines for this device: structure and outcomes are judged against those for cpu")

    pairs = [(mine, one) for one in candidate.samples if (mine := baseline.sample(one.seed)) is not None]
    alike = relation != "changed" and not found
    verdict = _judgement(baseline, candidate, "same", pairs, refused + found, notes, changes, alike=alike)
    outcomes = {one.outcome for one in verdict.comparisons} if candidate.outcome else {"held"}
    following = _alternatives(len(candidate.samples), budget, len(baseline.samples))
    wait = "open" in outcomes or len(candidate.samples) < min(LOOKS)
    if candidate.outcome and following is not None and not refused and "worse" not in outcomes and wait:
        return More(following)
    final: Verdict = "same"
    if refused:
        final = "invalid"
    elif "worse" in outcomes:
        final = "worse"
    elif found:
        final = "changed"
    elif "open" in outcomes:
        final = "undecided"
    elif "better" in outcomes:
        final = "better"
    return _judgement(baseline, candidate, final, pairs, refused + found, notes, changes, alike=alike)


def _judgement(
    baseline: Result,
    candidate: Result,
    verdict: Verdict,
    pairs: list[Any],
    found: list[str],
    notes: list[str],
    changes: list[Difference],
    *,
    alike: bool,
) -> Judgement:
    comparisons = [
        compare(
            name,
            [one.metrics[name] for one in baseline.samples],
            [(mine.metrics[name], one.metrics[name]) for mine, one in pairs],
            alike=alike,
        )
        for name in METRICS
        if pairs
    ]
    return Judgement(
        candidate.id,
        candidate.suite,
        verdict,
        len(candidate.samples),
        comparisons,
        found,
        notes,
        changes,
        candidate.outcome,
        _means(candidate),
    )
