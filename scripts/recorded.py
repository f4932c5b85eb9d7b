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
from pytest_ftcompare.compare.noise import SCORE_METRICS
from pytest_ftcompare.compare.sequential_test import error_share
from pytest_ftcompare.compare.verdict import CaseVerdict, JudgingCriteria, NeedMoreSeeds, judge
from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.result import Result, SeedResult, pack, rounded, unpack

BASELINE_SEEDS = 8  # seeds of a baseline
MAX_SEEDS = 16  # seeds that a case may train


@dataclass(frozen=True)
class RecordedCase:
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


def read(baselines: Path, bank: Path) -> list[RecordedCase]:
    """The cases that have a baseline and were run again from another stream."""
    found = []
    for file in baseline_store.result_paths(baselines):
        more, stream = (bank / kind / file.relative_to(baselines) for kind in ("seeds", "stream"))
        base = _result(file)
        if base.judge_accuracy and stream.exists():
            samples = [*base.seed_results, *(_result(more).seed_results if more.exists() else ())]
            found.append(
                RecordedCase(replace(base, windows=[]), samples, _result(stream).seed_results)
            )
    return found


def _result(file: Path) -> Result:
    return Result.from_json(file.read_text(encoding="utf-8"))


@cache
def _scatter(scores: tuple[float, ...]) -> float:
    return noise.sd(scores)


def case_noise(case: RecordedCase, metric: str = "accuracy") -> float:
    """SD between all seeds that were recorded of a case."""
    return _scatter(tuple(one.metrics[metric] for one in case.seeds))


def with_loss(sample: SeedResult, metric: str, drop: float, chance: random.Random) -> SeedResult:
    """The sample with `drop`, a share of rows, of its right answers turned wrong; a gain where it is negative."""
    bits = unpack(sample.correct[SCORE_METRICS[metric]])
    places = [at for at, right in enumerate(bits) if right == (drop > 0)]
    exact = abs(drop) * len(bits)
    count = int(exact) + (chance.random() < exact % 1)  # on average exactly `drop`
    for at in chance.sample(places, min(count, len(places))):
        bits[at] = not bits[at]
    split = SCORE_METRICS[metric]
    metrics = sample.metrics | {metric: rounded(sum(bits) / len(bits))}
    return replace(
        sample, metrics=metrics, correct=sample.correct | {split: pack(bits)}, predictions_digest=""
    )


def judge_in_sequence(
    base: Result, drawn: Sequence[SeedResult], terms: JudgingCriteria
) -> CaseVerdict:
    """The gate's own loop, with recorded samples in place of training."""
    candidate = replace(
        base, environment=base.environment | {"torch": "another"}, seed_results=list(drawn[:1])
    )
    while isinstance(step := judge(base, candidate, len(drawn), criteria=terms), NeedMoreSeeds):
        candidate = replace(candidate, seed_results=list(drawn[: step.seeds]))
    return step


@dataclass(frozen=True)
class ReplayedSession:
    """A replayed session: each case, its baseline, and its samples in the order in which the gate would train them."""

    cases: Sequence[RecordedCase]
    baselines: list[Result]
    candidates: list[list[SeedResult]]
    chance: random.Random

    def judging_criteria(self) -> list[JudgingCriteria]:
        """What each case is judged by: its suite's priors, its share of the session."""
        suites = {one.suite for one in self.baselines}
        learned = {
            suite: noise.fit_priors([one for one in self.baselines if one.suite == suite])
            for suite in suites
        }
        share = error_share(len(self.baselines), SCORE_METRICS)
        return [JudgingCriteria(learned[one.suite], share) for one in self.baselines]

    def verdicts(self, size: float, factor: float = 1.0) -> list[CaseVerdict]:
        """The verdicts of the session, each case having lost `size` of its noise; `factor` times its share of errors."""
        found = []
        for case, base, samples, terms in zip(
            self.cases, self.baselines, self.candidates, self.judging_criteria(), strict=True
        ):
            lost = (
                [
                    with_loss(one, "accuracy", size * case_noise(case), self.chance)
                    for one in samples
                ]
                if size
                else samples
            )
            found.append(
                judge_in_sequence(
                    base, lost, replace(terms, alpha_share=terms.alpha_share * factor)
                )
            )
        return found


def other_seeds(cases: Sequence[RecordedCase], number: int) -> ReplayedSession:
    """Session `number` of cases with as many seeds: other rows in the baselines than in what is held against them."""
    chance = random.Random(number)
    order = chance.sample(range(len(cases[0].seeds)), BASELINE_SEEDS + MAX_SEEDS)
    baselines = [
        replace(one.baseline, seed_results=[one.seeds[at] for at in order[:BASELINE_SEEDS]])
        for one in cases
    ]
    return ReplayedSession(
        cases,
        baselines,
        [[_apart(one.seeds[at]) for at in order[BASELINE_SEEDS:]] for one in cases],
        chance,
    )


def other_stream(cases: Sequence[RecordedCase], number: int) -> ReplayedSession:
    """A session in which each seed keeps its rows and all else is drawn anew; what has more seeds goes on with those.

    Which of a seed's two runs is the baseline's, and the order of seeds, are drawn for each group.
    """
    chance = random.Random(number)
    drawn = ReplayedSession(cases, [], [], chance)
    shared = min(len(one.stream) for one in cases)
    plans = {
        group: (
            chance.random() < 0.5,
            chance.sample(range(shared), shared),
            chance.sample(range(BASELINE_SEEDS, 30), 30 - BASELINE_SEEDS),
        )
        for group in sorted({one.group for one in cases})
    }
    for one in cases:
        swapped, order, others = plans[one.group]
        before, after = one.seeds[:BASELINE_SEEDS], one.stream[:shared]
        if swapped:
            before, after = [*after, *before[shared:]], before[:shared]
        more = [_apart(one.seeds[at]) for at in others if at < len(one.seeds)]
        drawn.baselines.append(replace(one.baseline, seed_results=before))
        drawn.candidates.append([*(after[at] for at in order), *more[: MAX_SEEDS - shared]])
    return drawn


def _apart(sample: SeedResult) -> SeedResult:
    """The sample as that of a seed that no baseline has."""
    return replace(sample, seed=-1 - sample.seed)
