"""Error rates of the gate: sessions replayed from recorded samples through the code that decides.

`python -m pytest_ftcompare.scripts.replay docs/bank docs/replay.json` draws sessions from the bank: for each, one order of the
seeds for all cases (cases of one seed share training rows, and err together), the first eight as the baselines, the others as
what the gate trains when it asks. A loss is put in by turning right answers of the candidate wrong, row by row. The environment says
that a library changed, so that no difference of the trace decides. What is counted is in `Rates`; docs/statistics.md shows it.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from pytest_ftcompare.compare import noise
from pytest_ftcompare.compare.noise import METRICS
from pytest_ftcompare.compare.overall import session
from pytest_ftcompare.compare.statistics import error_share
from pytest_ftcompare.compare.verdict import Judgement, More, Terms, judge
from pytest_ftcompare.result import Result, Sample, pack, rounded, unpack

HELD = 8  # seeds of a baseline
BUDGET = 16  # seeds that a case may train
SESSIONS = 400
DROPS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)  # of one case, in units of its noise
POOLED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)  # of every case

Bank = Sequence[Result]


def read(folder: Path) -> list[Result]:
    """The results of a bank, whose cases have the same seeds."""
    return [Result.from_json(file.read_text(encoding="utf-8")) for file in sorted(folder.rglob("*.json"))]


@cache
def _scatter(scores: tuple[float, ...]) -> float:
    return noise.sd(scores)


def own_noise(case: Result, metric: str = "accuracy") -> float:
    """SD between all seeds that the bank has of a case."""
    return _scatter(tuple(one.metrics[metric] for one in case.samples))


def worsened(sample: Sample, metric: str, drop: float, chance: random.Random) -> Sample:
    """The sample with `drop`, a share of rows, of its right answers turned wrong; a gain where it is negative."""
    bits = unpack(sample.correct[METRICS[metric]])
    places = [at for at, right in enumerate(bits) if right == (drop > 0)]
    exact = abs(drop) * len(bits)
    count = int(exact) + (chance.random() < exact % 1)  # on average exactly `drop`
    for at in chance.sample(places, min(count, len(places))):
        bits[at] = not bits[at]
    split = METRICS[metric]
    metrics = sample.metrics | {metric: rounded(sum(bits) / len(bits))}
    return replace(sample, metrics=metrics, correct=sample.correct | {split: pack(bits)}, predictions="")


def settle(base: Result, drawn: Sequence[Sample], terms: Terms) -> Judgement:
    """The gate's own loop, with recorded samples in place of training."""
    candidate = replace(base, environment=base.environment | {"torch": "another"}, samples=list(drawn[:1]))
    while isinstance(step := judge(base, candidate, len(drawn), terms=terms), More):
        candidate = replace(candidate, samples=list(drawn[: step.seeds]))
    return step


@dataclass(frozen=True)
class Drawn:
    """The baselines of a replayed session, and each case's samples in the order in which the gate would train them."""

    baselines: list[Result]
    candidates: list[list[Sample]]
    chance: random.Random

    def terms(self) -> list[Terms]:
        """What each case is judged by: its suite's priors, its share of the session."""
        suites = {one.suite for one in self.baselines}
        learned = {suite: noise.priors([one for one in self.baselines if one.suite == suite]) for suite in suites}
        share = error_share(len(self.baselines), METRICS)
        return [Terms(learned[one.suite], share) for one in self.baselines]

    def judged(self, drop: Callable[[Result], Mapping[str, float]] | None = None) -> list[Judgement]:
        """The judgements of the session, each case having lost what `drop` says, by metric."""
        found = []
        for base, samples, terms in zip(self.baselines, self.candidates, self.terms(), strict=True):
            drawn = samples
            for metric, size in (drop(base) if drop else {}).items():
                drawn = [worsened(one, metric, size, self.chance) for one in drawn]
            found.append(settle(base, drawn, terms))
        return found


def draw(bank: Bank, number: int) -> Drawn:
    """Session `number` of a bank: other seeds for baselines and candidates, in one order for all cases."""
    chance = random.Random(number)
    order = chance.sample(range(len(bank[0].samples)), len(bank[0].samples))
    held, rest = order[:HELD], order[HELD : HELD + BUDGET]
    baselines = [replace(one, samples=[one.samples[at] for at in held], windows=[]) for one in bank]
    return Drawn(baselines, [[replace(one.samples[at], seed=-1 - at) for at in rest] for one in bank], chance)


def paired(bank: Bank, stream: Bank, number: int) -> Drawn:
    """A session in which each seed keeps its rows and all else is drawn from another stream, as far as there are such seeds.

    Which of the two runs is the baseline's, and the order of the seeds, are drawn; seeds of the bank follow.
    """
    chance = random.Random(number)
    drawn = Drawn([], [], chance)
    shared = len(stream[0].samples)
    order = chance.sample(range(shared), shared)
    others = chance.sample(range(shared, len(bank[0].samples)), HELD - shared + BUDGET - shared)
    swapped = chance.random() < 0.5
    for one, two in zip(bank, stream, strict=True):
        before, after = (two, one) if swapped else (one, two)
        rest = [replace(one.samples[at], seed=-1 - at) for at in others]
        drawn.baselines.append(replace(one, samples=[*before.samples, *rest[: HELD - shared]], windows=[]))
        drawn.candidates.append([*(after.samples[at] for at in order), *rest[HELD - shared :]])
    return drawn


def _rate(found: int, tried: int) -> dict[str, float | int]:
    """A rate with its 95 % interval (Clopper and Pearson)."""
    from scipy import stats

    low, high = stats.binomtest(found, tried).proportion_ci(method="exact")
    return {"found": found, "of": tried, "rate": round(found / tried, 5), "low": round(low, 5), "high": round(high, 5)}


@dataclass(frozen=True)
class Seen:
    """What one replayed session gave: the words of its cases that are not `same`, pooled findings, seeds trained a case."""

    verdicts: dict[str, str]
    pooled: list[str]
    better: list[str]
    failed: bool
    seeds: float
    sizes: dict[str, float]
    z: dict[str, float]


def _seen(judgements: Sequence[Judgement]) -> Seen:
    whole = session(judgements)
    return Seen(
        {f"{one.suite}/{one.id}": one.verdict for one in judgements if one.verdict != "same"},
        [one.metric for one in whole.shifts if one.outcome == "worse"],
        [one.metric for one in whole.shifts if one.outcome == "better"],
        whole.failed,
        sum(one.seeds for one in judgements) / len(judgements),
        {one.metric: one.mean for one in whole.shifts},
        {one.metric: one.z for one in whole.shifts},
    )


def everywhere(size: float) -> Callable[[Result], dict[str, float]]:
    """A drop of so many times its own noise in each case."""
    return lambda case: {"accuracy": size * own_noise(case)}


class Replay:
    """The scenarios over one bank; each method is a unit of work for a process."""

    def __init__(self, bank: Bank, stream: Bank) -> None:
        self.bank, self.stream = bank, stream

    def drawn(self, number: int, *, rows: bool) -> Drawn:
        return paired(self.bank, self.stream, number) if rows else draw(self.bank, number)

    def unchanged(self, number: int) -> Seen:
        """The same samples again, in an environment that is the same."""
        drawn = draw(self.bank, number)
        return _seen(
            [
                step
                for base in drawn.baselines
                if isinstance(step := judge(base, replace(base, samples=base.samples[:1]), BUDGET), Judgement)
            ]
        )

    def all_cases(self, number: int, rows: bool, size: float) -> Seen:
        """Every case judged, each having lost `size` of its noise: by all its cases' own power, from the true scores."""
        drawn = self.drawn(number, rows=rows)
        true = {(one.suite, one.id): own_noise(one) for one in self.bank}
        return _seen(drawn.judged((lambda case: {"accuracy": size * true[case.suite, case.id]}) if size else None))

    def one_case(self, number: int, rows: bool, size: float, factor: float = 1.0) -> list[tuple[str, str, int]]:
        """Case, verdict and seeds of every case by itself, in a session of all; `factor` times the share of the error rate."""
        drawn = self.drawn(number, rows=rows)
        found = []
        for whole, base, samples, terms in zip(self.bank, drawn.baselines, drawn.candidates, drawn.terms(), strict=True):
            lost = [worsened(one, "accuracy", size * own_noise(whole), drawn.chance) for one in samples] if size else samples
            one = settle(base, lost, replace(terms, share=terms.share * factor))
            found.append((f"{one.suite}/{one.id}", str(one.verdict), one.seeds))
        return found


REPLAY: list[Replay] = []  # of a worker process


def _begin(bank: Path, stream: Path) -> None:
    common = {(one.suite, one.id) for one in read(bank)} & {(one.suite, one.id) for one in read(stream)}
    REPLAY.append(Replay(*([one for one in read(folder) if (one.suite, one.id) in common] for folder in (bank, stream))))


def _do(work: tuple[str, tuple[Any, ...]]) -> Any:
    name, arguments = work
    return getattr(REPLAY[0], name)(*arguments)


def _each(pool: ProcessPoolExecutor, name: str, arguments: Iterable[tuple[Any, ...]]) -> list[Any]:
    return list(pool.map(_do, [(name, one) for one in arguments], chunksize=4))
