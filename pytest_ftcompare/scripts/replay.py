"""Error rates of the gate: sessions replayed from recorded samples through the code that decides.

`python -m pytest_ftcompare.scripts.replay baselines/cpu docs/bank docs/replay.json` draws sessions of the suites' cases from
what was recorded: the baselines, more seeds of some cases (docs/bank/seeds), and for all of them the same seeds' rows with all
else drawn anew (docs/bank/stream), as `scripts/bank.py` trains them. Cases of one seed share training rows and err together, so
a session draws one order of seeds for all cases of a task and size. A loss is put in by turning right answers of the candidate
wrong, row by row. The environment says that torch is another, so that no difference of a trace decides.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from statistics import correlation as scores_correlation
from statistics import fmean
from typing import Any

from pytest_ftcompare.compare import baseline, noise, pooled, statistics
from pytest_ftcompare.compare.noise import METRICS
from pytest_ftcompare.compare.overall import Overall
from pytest_ftcompare.compare.pairing import correlation
from pytest_ftcompare.compare.statistics import error_share
from pytest_ftcompare.compare.verdict import Judgement, More, Terms, judge
from pytest_ftcompare.result import Result, Sample, pack, rounded, unpack

HELD = 8  # seeds of a baseline
BUDGET = 16  # seeds that a case may train
SESSIONS = 400
DROPS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)  # of one case, in units of its noise
POOLED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)  # of every case
SHARES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)  # times the error rate that a test may have


@dataclass(frozen=True)
class Recorded:
    """A case: its baseline, all its seeds, and some of them again from another stream."""

    baseline: Result
    seeds: list[Sample]
    stream: list[Sample]

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
    for file in baseline.results_in(baselines):
        more, stream = (bank / kind / file.relative_to(baselines) for kind in ("seeds", "stream"))
        base = _result(file)
        if base.outcome and stream.exists():
            samples = [*base.samples, *(_result(more).samples if more.exists() else ())]
            found.append(Recorded(replace(base, windows=[]), samples, _result(stream).samples))
    return found


def _result(file: Path) -> Result:
    return Result.from_json(file.read_text(encoding="utf-8"))


@cache
def _scatter(scores: tuple[float, ...]) -> float:
    return noise.sd(scores)


def own_noise(case: Recorded, metric: str = "accuracy") -> float:
    """SD between all seeds that were recorded of a case."""
    return _scatter(tuple(one.metrics[metric] for one in case.seeds))


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
    """A replayed session: each case, its baseline, and its samples in the order in which the gate would train them."""

    cases: Sequence[Recorded]
    baselines: list[Result]
    candidates: list[list[Sample]]
    chance: random.Random

    def terms(self) -> list[Terms]:
        """What each case is judged by: its suite's priors, its share of the session."""
        suites = {one.suite for one in self.baselines}
        learned = {suite: noise.priors([one for one in self.baselines if one.suite == suite]) for suite in suites}
        share = error_share(len(self.baselines), METRICS)
        return [Terms(learned[one.suite], share) for one in self.baselines]

    def judged(self, size: float, factor: float = 1.0) -> list[Judgement]:
        """The judgements of the session, each case having lost `size` of its noise; `factor` times its share of errors."""
        found = []
        for case, base, samples, terms in zip(self.cases, self.baselines, self.candidates, self.terms(), strict=True):
            lost = [worsened(one, "accuracy", size * own_noise(case), self.chance) for one in samples] if size else samples
            found.append(settle(base, lost, replace(terms, share=terms.share * factor)))
        return found


def other_seeds(cases: Sequence[Recorded], number: int) -> Drawn:
    """Session `number` of cases with as many seeds: other rows in the baselines than in what is held against them."""
    chance = random.Random(number)
    order = chance.sample(range(len(cases[0].seeds)), HELD + BUDGET)
    baselines = [replace(one.baseline, samples=[one.seeds[at] for at in order[:HELD]]) for one in cases]
    return Drawn(cases, baselines, [[_apart(one.seeds[at]) for at in order[HELD:]] for one in cases], chance)


def other_stream(cases: Sequence[Recorded], number: int) -> Drawn:
    """A session in which each seed keeps its rows and all else is drawn anew; what has more seeds goes on with those.

    Which of a seed's two runs is the baseline's, and the order of seeds, are drawn for each group.
    """
    chance = random.Random(number)
    drawn = Drawn(cases, [], [], chance)
    shared = min(len(one.stream) for one in cases)
    plans = {
        group: (chance.random() < 0.5, chance.sample(range(shared), shared), chance.sample(range(HELD, 30), 30 - HELD))
        for group in sorted({one.group for one in cases})
    }
    for one in cases:
        swapped, order, others = plans[one.group]
        before, after = one.seeds[:HELD], one.stream[:shared]
        if swapped:
            before, after = [*after, *before[shared:]], before[:shared]
        more = [_apart(one.seeds[at]) for at in others if at < len(one.seeds)]
        drawn.baselines.append(replace(one.baseline, samples=before))
        drawn.candidates.append([*(after[at] for at in order), *more[: BUDGET - shared]])
    return drawn


def _apart(sample: Sample) -> Sample:
    """The sample as that of a seed that no baseline has."""
    return replace(sample, seed=-1 - sample.seed)


@dataclass(frozen=True)
class Seen:
    """What a replayed session gave: case -> its verdict and seeds; metric -> pooled outcome, standard errors, points."""

    failed: bool
    cases: dict[str, tuple[str, int]]
    shifts: dict[str, tuple[str, float, float]]


def _seen(judgements: Sequence[Judgement]) -> Seen:
    whole = Overall(judgements)
    return Seen(
        whole.failed,
        {f"{one.suite}/{one.id}": (one.verdict, one.seeds) for one in judgements},
        {one.metric: (one.outcome, one.z, one.mean) for one in whole.shifts},
    )


CASES: list[Recorded] = []  # of a worker process
WAYS = {"other stream": other_stream, "other seeds": other_seeds}


def _begin(baselines: Path, bank: Path) -> None:
    CASES.extend(read(baselines, bank))


def _of(way: str) -> list[Recorded]:
    """The cases that can be replayed in a way."""
    return [one for one in CASES if way == "other stream" or len(one.seeds) >= HELD + BUDGET]


def _replay(work: tuple[str, int, float, float]) -> Seen:
    way, number, size, factor = work
    return _seen(WAYS[way](_of(way), number).judged(size, factor))


def _unchanged(number: int) -> Seen:
    """The same samples again in the same environment: baselines of other seeds in each session."""
    held = other_seeds(_of("other seeds"), number).baselines
    held = [replace(one, samples=[replace(sample, seed=at) for at, sample in enumerate(one.samples)]) for one in held]
    found = [judge(one, replace(one, samples=one.samples[:1]), BUDGET) for one in held]
    return _seen([one for one in found if isinstance(one, Judgement)])


def rate(found: int, tried: int) -> dict[str, float | int]:
    """A rate with its 95 % interval (Clopper and Pearson)."""
    from scipy import stats

    low, high = stats.binomtest(found, tried).proportion_ci(method="exact")
    return {"found": found, "of": tried, "rate": round(found / tried, 5), "low": round(low, 5), "high": round(high, 5)}


def of_sessions(seen: Sequence[Seen]) -> dict[str, Any]:
    """Sessions that failed, by a case and by a pooled shift, verdicts, and the share of all seeds that was trained."""
    every = [one for session in seen for one in session.cases.values()]
    return {
        "failed": rate(sum(one.failed for one in seen), len(seen)),
        "with a case worse": rate(sum(any(word == "worse" for word, _ in one.cases.values()) for one in seen), len(seen)),
        "with a pooled shift": rate(sum(any(word == "worse" for word, *_ in one.shifts.values()) for one in seen), len(seen)),
        "verdicts": dict(Counter(word for word, _ in every).most_common()),
        "seeds of a case": round(fmean(seeds for _, seeds in every), 2),
        "cases": len(seen[0].cases),
    }


def of_cases(seen: Sequence[Seen], cases: Collection[str]) -> dict[str, Any]:
    """Of these cases of the sessions, those called worse, each by itself, and the seeds that it took."""
    every = [one for session in seen for name, one in session.cases.items() if name in cases]
    return rate(sum(word == "worse" for word, _ in every), len(every)) | {"seeds": round(fmean(seeds for _, seeds in every), 2)}


def of_pooled(seen: Sequence[Seen]) -> dict[str, Any]:
    """Sessions whose accuracy was found lower over all cases, and by how many points and standard errors on average."""
    shifts = [one.shifts["accuracy"] for one in seen if "accuracy" in one.shifts]
    return rate(sum(word == "worse" for word, *_ in shifts), len(seen)) | {
        "standard errors": round(fmean(z for _, z, _ in shifts), 3),
        "points": round(100 * fmean(mean for *_, mean in shifts), 3),
        "cases": len(seen[0].cases),
    }


def of_pairing(cases: Sequence[Recorded], metric: str) -> dict[str, Any]:
    """Means over the cases whose streams differ: rho by rows and of the scores, and the variance of a pair's difference as a
    share of the one expected."""
    by_rows, by_scores, squares, expected = [], [], 0.0, 0.0
    for case in cases:
        before, after = case.seeds[: len(case.stream)], case.stream
        first, second = ([one.metrics[metric] for one in samples] for samples in (before, after))
        if first == second:  # a method that draws nothing but rows
            continue
        by_rows.append(correlation(case.seeds[:HELD], after, METRICS[metric]))
        by_scores.append(scores_correlation(first, second))
        both = noise.spread([one.metrics[metric] for one in case.seeds[:HELD]]).joined(noise.spread(second))
        squares += fmean((y - x) ** 2 for x, y in zip(first, second, strict=True)) / both.variance
        expected += 2 * (1 - by_rows[-1])
    return {
        "cases": len(by_rows),
        "rho by rows": round(fmean(by_rows), 3),
        "rho of scores": round(fmean(by_scores), 3),
        "variance to expected": round(squares / expected, 3),
    }


def main(baselines: Path, bank: Path, file: Path, sessions: int = SESSIONS) -> None:
    """Replay every scenario, and write the record."""
    with ProcessPoolExecutor(initializer=_begin, initargs=(baselines, bank)) as pool:

        def replay(way: str, size: float, count: int, factor: float = 1.0) -> list[Seen]:
            found = list(pool.map(_replay, [(way, number, size, factor) for number in range(count)], chunksize=4))
            print(f"{way}: {count} sessions, each case {size:g} of its noise lower", file=sys.stderr, flush=True)
            return found

        cases = read(baselines, bank)
        whole = {one.name for one in cases if len(one.seeds) >= HELD + BUDGET}  # the others' seeds end before their budget
        few = max(8, sessions // 20)  # sessions of one loss in each case, judged case by case
        record: dict[str, Any] = {"date": date.today().isoformat(), "sessions": sessions, "constants": _constants()}
        record["unchanged"] = of_sessions(list(pool.map(_unchanged, range(sessions), chunksize=4)))
        for way in WAYS:
            benign = replay(way, 0.0, sessions)
            record[way] = {
                "benign": of_sessions(benign),
                "pooled z": {m: [round(one.shifts[m][1], 3) for one in benign if m in one.shifts] for m in METRICS},
                "one case": {str(size): of_cases(replay(way, size, few), whole) for size in DROPS},
                "every case": {str(size): of_pooled(replay(way, size, sessions // 8)) for size in POOLED},
                "error rate": {
                    str(factor): {
                        "false": of_cases(replay(way, 0.0, few, factor), whole),
                        "found": {str(size): of_cases(replay(way, size, few // 2, factor), whole) for size in (1.5, 2.0, 3.0)},
                    }
                    for factor in SHARES
                },
            }
            file.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")
        record["pairing"] = {metric: of_pairing(cases, metric) for metric in METRICS}
        noises = [100 * own_noise(one) for one in cases]
        record["noise in points"] = {
            "mean": round(fmean(noises), 2),
            "least": round(min(noises), 2),
            "most": round(max(noises), 2),
        }
    file.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")


def _constants() -> dict[str, float]:
    names = ("ALPHA", "CONVICTING", "CONFIRM", "MODELLED", "LEFT", "MISSED", "INFORMED", "MARGIN")
    return {name: getattr(statistics, name) for name in names} | {
        f"pooled {name}": getattr(pooled, name) for name in ("EVIDENCE", "TOGETHER", "UNPAIRED", "APART")
    }


if __name__ == "__main__":
    folder, recorded, record, *count = sys.argv[1:]
    main(Path(folder), Path(recorded), Path(record), *map(int, count))
