"""From a baseline and a candidate to a verdict, or to the number of seeds that the question still needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from pytest_ftcompare.compare import audit, divergence
from pytest_ftcompare.compare.divergence import Sign
from pytest_ftcompare.compare.environment_diff import Difference, differences, excused
from pytest_ftcompare.compare.known_faults import parted
from pytest_ftcompare.compare.measured_cost import Reading
from pytest_ftcompare.compare.noise import METRICS, PRIOR, Spread
from pytest_ftcompare.compare.pairing import correlation, keyed
from pytest_ftcompare.compare.sequential_test import Comparison, compare, following
from pytest_ftcompare.results.result import Result

Verdict = Literal["same", "better", "worse", "changed", "undecided", "new", "incomparable", "invalid"]

# What fails a case's test; what fails a session besides is in `session_verdict.py`. docs/statistics.md has the whole table.
FAILING: frozenset[Verdict] = frozenset({"worse", "changed", "invalid", "new"})
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
IDENTICAL = (
    "it trained and predicted the same, bit for bit"  # the note of a case that trained and predicted the same, bit for bit
)
SHORT = "nothing changed, and a short training repeated bit for bit: the whole one was not repeated"
ELSEWHERE = "no baselines for this device: structure and outcomes are judged against those for cpu"


def repeated(notes: Iterable[str]) -> bool:
    """Whether the notes of a case, of a judgement or a document, say that it repeated bit for bit."""
    return any(note in (IDENTICAL, SHORT) for note in notes)


@dataclass(frozen=True)
class Judgement:
    """The verdict on a case and everything that a reader needs to believe it.

    `began` is the first level at which the run left its baseline, "" where it did not; `signs` are the differences that
    count, the earliest level first.
    """

    id: str
    suite: str
    verdict: Verdict
    seeds: int
    comparisons: list[Comparison] = field(default_factory=list)
    signs: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changes: list[Difference] = field(default_factory=list)  # of the environment
    outcome: bool = True
    scores: dict[str, float] = field(default_factory=dict)  # means of the candidate, for cases without comparison
    costs: list[Reading] = field(default_factory=list)
    began: str = ""

    @property
    def identical(self) -> bool:
        """Whether nothing that was computed moved."""
        return repeated(self.notes)

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


@dataclass(frozen=True)
class Terms:
    """What a case is judged by besides its samples: what its suite taught of each metric's noise, the part of the session's
    error rate that each of its tests may use, and whether a note about its trace fails it."""

    priors: Mapping[str, Spread] = field(default_factory=dict)
    share: float = 1.0
    strict: bool = False


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
        began="invariant" if refused else "",
    )


def incomparable(candidate: Result, reason: str) -> Judgement:
    """The baseline belongs to another experiment."""
    return Judgement(candidate.id, candidate.suite, "incomparable", 0, notes=[reason], outcome=candidate.outcome)


@dataclass(frozen=True)
class _Evidence:
    """What a candidate computes beside its baseline, before its outcome counts."""

    found: list[Sign]  # differences that nothing excuses
    noted: list[Sign]  # differences that the environment may explain
    notes: list[str]
    identical: bool  # seed 0 trained and predicted the same, bit for bit


def _evidence(baseline: Result, candidate: Result, changes: list[Difference], same_device: bool) -> _Evidence:
    found = [*divergence.recipe(baseline, candidate), *divergence.structure(baseline, candidate)]
    before, after = baseline.sample(0), candidate.sample(0)
    if not same_device:
        return _Evidence(found, [], [ELSEWHERE], identical=False)
    method = str(candidate.identity.get("method"))
    if why := parted(method, baseline.environment, candidate.environment):
        return _Evidence(found, [], [why], identical=False)
    found += [*divergence.probe(baseline, candidate), *divergence.drawn(baseline, candidate)]
    if before is None or after is None:
        return _Evidence(found, [], ["the baseline has no seed 0"], identical=False)
    relation = divergence.trace(before.trace, after.trace)
    chosen = before.predictions == after.predictions
    found += divergence.scored(before, after)
    sign = None
    if relation == "changed":
        sign = divergence.where(before.trace, after.trace)
    elif relation == "identical" and not chosen:
        sign = divergence.predicted(before, after)
    elif (
        relation == "equivalent"
        and all(one.name == "commit" for one in changes)
        and baseline.environment.get("device") == "cpu"
    ):
        sign = divergence.last_digits(before.trace, after.trace)
    noted: list[Sign] = []
    if sign is not None:
        (noted if excused(changes) else found).append(sign)
    return _Evidence(found, noted, [], identical=relation == "identical" and chosen and not found)


def _comparisons(baseline: Result, candidate: Result, terms: Terms) -> list[Comparison]:
    found = []
    for metric, split in METRICS.items():
        base, new = keyed(baseline.samples, metric), keyed(candidate.samples, metric)
        if base and new:
            rho = correlation(baseline.samples, candidate.samples, split)
            known = terms.priors.get(metric, PRIOR)
            if taught := baseline.noise.get(metric):  # by samples that the baseline holds no more
                known = known.joined(Spread(taught["squares"] / taught["freedom"], taught["freedom"]))
            found.append(compare(metric, base, new, rho=rho, known=known, share=terms.share))
    return found


def judge(
    baseline: Result, candidate: Result, budget: int, *, same_device: bool = True, terms: Terms | None = None
) -> Judgement | More:
    """The verdict on `candidate`, whose samples are those of seeds 0, 1, ...; or how many seeds it takes to know.

    On a device without baselines of its own, only structure and outcomes are compared with the ones at hand.
    """
    terms = Terms() if terms is None else terms
    refused = [Sign("invariant", one) for one in audit.sound(candidate)]
    changes = differences(baseline.environment, candidate.environment)
    evidence = _evidence(baseline, candidate, changes, same_device)
    found = [*evidence.found, *(evidence.noted if terms.strict else ())]
    comparisons = _comparisons(baseline, candidate, terms)
    outcomes = {one.outcome for one in comparisons} if candidate.outcome else {"held"}

    def conclude(verdict: Verdict, notes: Iterable[str] = ()) -> Judgement:
        moved = [Sign("outcome", one.metric) for one in comparisons if candidate.outcome and one.outcome in ("worse", "better")]
        levels = [*refused, *found, *evidence.noted, *moved]
        return Judgement(
            candidate.id,
            candidate.suite,
            verdict,
            len(candidate.samples),
            comparisons,
            [one.text for one in [*refused, *found]],
            [*notes, *evidence.notes, *(one.text for one in evidence.noted if one not in found)],
            changes,
            candidate.outcome,
            _means(candidate),
            began=levels[0].level if levels else "",
        )

    if refused:
        return conclude("invalid")
    if evidence.identical:
        return conclude("same", [IDENTICAL])
    following_look = following(len(candidate.samples), budget)
    if "open" in outcomes and "worse" not in outcomes and following_look is not None:
        return More(following_look)
    if "worse" in outcomes:
        return conclude("worse")
    if found:
        return conclude("changed")
    if "open" in outcomes:
        return conclude("undecided")
    return conclude("better" if "better" in outcomes else "same")


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
    began = judgement.began or ("cost" if outcomes & {"worse", "changed", "better"} else "")
    return replace(judgement, verdict=verdict, costs=costs, began=began)
