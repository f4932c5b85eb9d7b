"""Sessions drawn from recorded samples: each case's baseline and candidate, as the gate would have trained them.

Cases of one seed share training rows and err together, so a session draws one order of seeds for all cases of a task and size.
A loss is put in by turning right answers of the candidate wrong, row by row.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from pytest_ftcompare.compare import noise
from pytest_ftcompare.compare.noise import METRICS
from pytest_ftcompare.compare.sequential_test import error_share
from pytest_ftcompare.compare.verdict import CaseVerdict, JudgingCriteria, NeedMoreSeeds, judge
from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.result import Result, SeedResult, pack, rounded, unpack

HELD = 8  # seeds of a baseline
BUDGET = 16  # seeds that a case may train


@dataclass(frozen=True)
class Recorded:
    """A case: its baseline, all its seeds, and some of them again from another stream."""

    baseline: Result
    seeds: list[SeedResult]
    stream: list[SeedResult]

    @property
    def name(self) -> str:
        return f"{self.baseline.suite}/{self.baseline.id}"

    @property
    def group(self) -> str:
        """What cases share that draw the same rows."""
        return self.baseline.id.split("-", 1)[1]


def read(baselines: Path, bank: Path) -> list[Recorded]:
    """The cases that have a baseline and were run again from another stream."""
    found = []
    for file in baseline_store.results_in(baselines):
        more, stream = (bank / kind / file.relative_to(baselines) for kind in ("seeds", "stream"))
        base = _result(file)
        if base.judge_accuracy and stream.exists():
            samples = [*base.seed_results, *(_result(more).seed_results if more.exists() else ())]
            found.append(Recorded(replace(base, windows=[]), samples, _result(stream).seed_results))
    return found


def _result(file: Path) -> Result:
    return Result.from_json(file.read_text(encoding="utf-8"))


@cache
def _scatter(scores: tuple[float, ...]) -> float:
    return noise.sd(scores)


def own_noise(case: Recorded, metric: str = "accuracy") -> float:
    """SD between all seeds that were recorded of a case."""
    return _scatter(tuple(one.metrics[metric] for one in case.seeds))


def worsened(sample: SeedResult, metric: str, drop: float, chance: random.Random) -> SeedResult:
    """The sample with `drop`, a share of rows, of its right answers turned wrong; a gain where it is negative."""
    bits = unpack(sample.correct[METRICS[metric]])
    places = [at for at, right in enumerate(bits) if right == (drop > 0)]
    exact = abs(drop) * len(bits)
    count = int(exact) + (chance.random() < exact % 1)  # on average exactly `drop`
    for at in chance.sample(places, min(count, len(places))):
        bits[at] = not bits[at]
    split = METRICS[metric]
    metrics = sample.metrics | {metric: rounded(sum(bits) / len(bits))}
    return replace(
        sample, metrics=metrics, correct=sample.correct | {split: pack(bits)}, predictions_digest=""
    )


def settle(base: Result, drawn: Sequence[SeedResult], terms: JudgingCriteria) -> CaseVerdict:
    """The gate's own loop, with recorded samples in place of training."""
    candidate = replace(
        base, environment=base.environment | {"torch": "another"}, seed_results=list(drawn[:1])
    )
    while isinstance(step := judge(base, candidate, len(drawn), terms=terms), NeedMoreSeeds):
        candidate = replace(candidate, seed_results=list(drawn[: step.seeds]))
    return step


@dataclass(frozen=True)
class Drawn:
    """A replayed session: each case, its baseline, and its samples in the order in which the gate would train them."""

    cases: Sequence[Recorded]
    baselines: list[Result]
    candidates: list[list[SeedResult]]
    chance: random.Random

    def terms(self) -> list[JudgingCriteria]:
        """What each case is judged by: its suite's priors, its share of the session."""
        suites = {one.suite for one in self.baselines}
        learned = {
            suite: noise.priors([one for one in self.baselines if one.suite == suite])
            for suite in suites
        }
        share = error_share(len(self.baselines), METRICS)
        return [JudgingCriteria(learned[one.suite], share) for one in self.baselines]

    def judged(self, size: float, factor: float = 1.0) -> list[CaseVerdict]:
        """The verdicts of the session, each case having lost `size` of its noise; `factor` times its share of errors."""
        found = []
        for case, base, samples, terms in zip(
            self.cases, self.baselines, self.candidates, self.terms(), strict=True
        ):
            lost = (
                [worsened(one, "accuracy", size * own_noise(case), self.chance) for one in samples]
                if size
                else samples
            )
            found.append(settle(base, lost, replace(terms, alpha_share=terms.alpha_share * factor)))
        return found


def other_seeds(cases: Sequence[Recorded], number: int) -> Drawn:
    """Session `number` of cases with as many seeds: other rows in the baselines than in what is held against them."""
    chance = random.Random(number)
    order = chance.sample(range(len(cases[0].seeds)), HELD + BUDGET)
    baselines = [
        replace(one.baseline, seed_results=[one.seeds[at] for at in order[:HELD]]) for one in cases
    ]
    return Drawn(
        cases, baselines, [[_apart(one.seeds[at]) for at in order[HELD:]] for one in cases], chance
    )


def other_stream(cases: Sequence[Recorded], number: int) -> Drawn:
    """A session in which each seed keeps its rows and all else is drawn anew; what has more seeds goes on with those.

    Which of a seed's two runs is the baseline's, and the order of seeds, are drawn for each group.
    """
    chance = random.Random(number)
    drawn = Drawn(cases, [], [], chance)
    shared = min(len(one.stream) for one in cases)
    plans = {
        group: (
            chance.random() < 0.5,
            chance.sample(range(shared), shared),
            chance.sample(range(HELD, 30), 30 - HELD),
        )
        for group in sorted({one.group for one in cases})
    }
    for one in cases:
        swapped, order, others = plans[one.group]
        before, after = one.seeds[:HELD], one.stream[:shared]
        if swapped:
            before, after = [*after, *before[shared:]], before[:shared]
        more = [_apart(one.seeds[at]) for at in others if at < len(one.seeds)]
        drawn.baselines.append(replace(one.baseline, seed_results=before))
        drawn.candidates.append([*(after[at] for at in order), *more[: BUDGET - shared]])
    return drawn


def _apart(sample: SeedResult) -> SeedResult:
    """The sample as that of a seed that no baseline has."""
    return replace(sample, seed=-1 - sample.seed)
