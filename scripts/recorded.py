"""Draw sessions from recorded seeds: each case's baseline and candidate, for `scripts/replay.py`.

Cases of one seed share training rows and errors, so a session draws one order of seeds for all
cases of a task and number of shots. A loss turns right answers of the candidate wrong, row by row.
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
    """A case: its baseline, all its seeds, and some of the seeds again with another stream."""

    baseline: Result
    seeds: list[SeedResult]
    stream: list[SeedResult]

    @property
    def name(self) -> str:
        return f"{self.baseline.suite}/{self.baseline.id}"

    @property
    def group(self) -> str:
        """Return the case without its method: cases of a group draw the same rows."""
        return self.baseline.id.split("-", 1)[1]


def read(baselines: Path, bank: Path) -> list[RecordedCase]:
    """Read the cases that have a baseline and seeds of another stream."""
    cases = []
    for file in baseline_store.result_paths(baselines):
        more, stream = (bank / kind / file.relative_to(baselines) for kind in ("seeds", "stream"))
        base = _result(file)
        if base.judge_accuracy and stream.exists():
            seeds = [*base.seed_results, *(_result(more).seed_results if more.exists() else ())]
            cases.append(
                RecordedCase(replace(base, windows=[]), seeds, _result(stream).seed_results)
            )
    return cases


def _result(file: Path) -> Result:
    """Read a result with the scores that are judged: older seeds of the bank lack the others."""
    result = Result.from_json(file.read_text(encoding="utf-8"))
    seed_results = [
        replace(
            seed_result,
            metrics={
                name: score for name, score in seed_result.metrics.items() if name in SCORE_METRICS
            },
        )
        for seed_result in result.seed_results
    ]
    return replace(result, seed_results=seed_results)


@cache
def _sd(scores: tuple[float, ...]) -> float:
    return noise.sd(scores)


def case_noise(case: RecordedCase, metric: str = "accuracy") -> float:
    """Return the SD between all recorded seeds of a case."""
    return _sd(tuple(seed_result.metrics[metric] for seed_result in case.seeds))


def with_loss(seed_result: SeedResult, metric: str, drop: float, rng: random.Random) -> SeedResult:
    """Turn right answers of a share `drop` of the rows wrong, or wrong ones right if negative."""
    bits = unpack(seed_result.correct[SCORE_METRICS[metric]])
    candidates = [index for index, right in enumerate(bits) if right == (drop > 0)]
    exact = abs(drop) * len(bits)
    # Rounded at random, so that the mean is exactly `drop`.
    count = int(exact) + (rng.random() < exact % 1)
    for index in rng.sample(candidates, min(count, len(candidates))):
        bits[index] = not bits[index]
    split = SCORE_METRICS[metric]
    return replace(
        seed_result,
        metrics=seed_result.metrics | {metric: rounded(sum(bits) / len(bits))},
        correct=seed_result.correct | {split: pack(bits)},
        predictions_digest="",
    )


def judge_in_sequence(
    base: Result, seed_results: Sequence[SeedResult], criteria: JudgingCriteria
) -> CaseVerdict:
    """Judge like the gate, with recorded seeds in place of training."""
    # Another version of torch, so that a different trace does not decide.
    candidate = replace(
        base,
        environment=base.environment | {"torch": "another"},
        seed_results=list(seed_results[:1]),
    )
    while isinstance(
        step := judge(base, candidate, len(seed_results), criteria=criteria), NeedMoreSeeds
    ):
        candidate = replace(candidate, seed_results=list(seed_results[: step.seeds]))
    return step


@dataclass(frozen=True)
class ReplayedSession:
    """Cases with their baselines, and candidates' seeds in the order in which the gate trains."""

    cases: Sequence[RecordedCase]
    baselines: list[Result]
    candidates: list[list[SeedResult]]
    rng: random.Random

    def judging_criteria(self) -> list[JudgingCriteria]:
        """Return each case's criteria: its suite's priors and its share of the session's errors."""
        suites = {base.suite for base in self.baselines}
        priors = {
            suite: noise.fit_priors([base for base in self.baselines if base.suite == suite])
            for suite in suites
        }
        share = error_share(len(self.baselines), SCORE_METRICS)
        return [JudgingCriteria(priors[base.suite], share) for base in self.baselines]

    def verdicts(self, size: float, factor: float = 1.0) -> list[CaseVerdict]:
        """Judge the session, after each case lost `size` of its noise.

        `factor` multiplies each case's share of errors.
        """
        verdicts = []
        for case, base, seed_results, criteria in zip(
            self.cases, self.baselines, self.candidates, self.judging_criteria(), strict=True
        ):
            lost = (
                [
                    with_loss(seed_result, "accuracy", size * case_noise(case), self.rng)
                    for seed_result in seed_results
                ]
                if size
                else seed_results
            )
            laxer = replace(criteria, alpha_share=criteria.alpha_share * factor)
            verdicts.append(judge_in_sequence(base, lost, laxer))
        return verdicts


def other_seeds(cases: Sequence[RecordedCase], number: int) -> ReplayedSession:
    """Draw session `number` with other seeds, and so other rows, in baselines and candidates.

    All cases must have equally many seeds.
    """
    rng = random.Random(number)
    order = rng.sample(range(len(cases[0].seeds)), BASELINE_SEEDS + MAX_SEEDS)
    baselines = [
        replace(case.baseline, seed_results=[case.seeds[index] for index in order[:BASELINE_SEEDS]])
        for case in cases
    ]
    candidates = [
        [_unpaired(case.seeds[index]) for index in order[BASELINE_SEEDS:]] for case in cases
    ]
    return ReplayedSession(cases, baselines, candidates, rng)


def other_stream(cases: Sequence[RecordedCase], number: int) -> ReplayedSession:
    """Draw session `number` with the same rows for each seed and other random numbers.

    Each group draws which of a seed's two runs is the baseline's, and the order of seeds. Cases
    with more seeds continue with the other seeds.
    """
    rng = random.Random(number)
    session = ReplayedSession(cases, [], [], rng)
    shared = min(len(case.stream) for case in cases)
    plans = {
        group: (
            rng.random() < 0.5,
            rng.sample(range(shared), shared),
            rng.sample(range(BASELINE_SEEDS, 30), 30 - BASELINE_SEEDS),
        )
        for group in sorted({case.group for case in cases})
    }
    for case in cases:
        swapped, order, others = plans[case.group]
        before, after = case.seeds[:BASELINE_SEEDS], case.stream[:shared]
        if swapped:
            before, after = [*after, *before[shared:]], before[:shared]
        more = [_unpaired(case.seeds[index]) for index in others if index < len(case.seeds)]
        session.baselines.append(replace(case.baseline, seed_results=before))
        session.candidates.append([*(after[index] for index in order), *more[: MAX_SEEDS - shared]])
    return session


def _unpaired(seed_result: SeedResult) -> SeedResult:
    """Give the result a seed that no baseline has."""
    return replace(seed_result, seed=-1 - seed_result.seed)
