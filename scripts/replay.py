"""Error rates of the gate: sessions replayed from recorded samples through the code that decides.

`python -m scripts.replay baselines/cpu docs/bank docs/replay.json` draws sessions of the suites' cases from
what was recorded: the baselines, more seeds of some cases (docs/bank/seeds), and for all of them the same seeds' rows with all
else drawn anew (docs/bank/stream), as `scripts/bank.py` trains them. Cases of one seed share training rows and err together, so
a session draws one order of seeds for all cases of a task and size. A loss is put in by turning right answers of the candidate
wrong, row by row. The environment says that torch is another, so that no difference of a trace decides.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from statistics import correlation as scores_correlation
from statistics import fmean
from typing import Any

from pytest_ftcompare.compare import noise, pooled_shift, sequential_test
from pytest_ftcompare.compare.noise import SCORE_METRICS
from pytest_ftcompare.compare.pairing import correlation
from pytest_ftcompare.compare.session_verdict import SessionVerdict
from pytest_ftcompare.compare.verdict import CaseVerdict, judge
from scripts.recorded import (
    BASELINE_SEEDS,
    MAX_SEEDS,
    RecordedCase,
    case_noise,
    other_seeds,
    other_stream,
    read,
)

SESSIONS = 400
DROPS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)  # of one case, in units of its noise
POOLED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)  # of every case
SHARES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)  # times the error rate that a test may have


@dataclass(frozen=True)
class SessionOutcome:
    """What a replayed session gave: case -> its verdict and seeds; metric -> pooled outcome, standard errors, points."""

    failed: bool
    cases: dict[str, tuple[str, int]]
    shifts: dict[str, tuple[str, float, float]]


def _seen(verdicts: Sequence[CaseVerdict]) -> SessionOutcome:
    whole = SessionVerdict(verdicts)
    return SessionOutcome(
        whole.failed,
        {f"{one.suite}/{one.id}": (one.verdict, one.seeds) for one in verdicts},
        {one.metric: (one.outcome, one.z, one.mean) for one in whole.shifts},
    )


CASES: list[RecordedCase] = []  # of a worker process
WAYS = {"other stream": other_stream, "other seeds": other_seeds}


def _begin(baselines: Path, bank: Path) -> None:
    CASES.extend(read(baselines, bank))


def _of(way: str) -> list[RecordedCase]:
    """The cases that can be replayed in a way."""
    return [
        one
        for one in CASES
        if way == "other stream" or len(one.seeds) >= BASELINE_SEEDS + MAX_SEEDS
    ]


def _replay(work: tuple[str, int, float, float]) -> SessionOutcome:
    way, number, size, factor = work
    return _seen(WAYS[way](_of(way), number).verdicts(size, factor))


def _unchanged(number: int) -> SessionOutcome:
    """The same samples again in the same environment: baselines of other seeds in each session."""
    held = other_seeds(_of("other seeds"), number).baselines
    held = [
        replace(
            one,
            seed_results=[replace(sample, seed=at) for at, sample in enumerate(one.seed_results)],
        )
        for one in held
    ]
    found = [judge(one, replace(one, seed_results=one.seed_results[:1]), MAX_SEEDS) for one in held]
    return _seen([one for one in found if isinstance(one, CaseVerdict)])


def rate(found: int, tried: int) -> dict[str, float | int]:
    """A rate with its 95 % interval (Clopper and Pearson)."""
    from scipy import stats

    low, high = stats.binomtest(found, tried).proportion_ci(method="exact")
    return {
        "found": found,
        "of": tried,
        "rate": round(found / tried, 5),
        "low": round(low, 5),
        "high": round(high, 5),
    }


def summarize_sessions(seen: Sequence[SessionOutcome]) -> dict[str, Any]:
    """Sessions that failed, by a case and by a pooled shift, verdicts, and the share of all seeds that was trained."""
    every = [one for session in seen for one in session.cases.values()]
    return {
        "failed": rate(sum(one.failed for one in seen), len(seen)),
        "with a case worse": rate(
            sum(any(word == "worse" for word, _ in one.cases.values()) for one in seen), len(seen)
        ),
        "with a pooled shift": rate(
            sum(any(word == "worse" for word, *_ in one.shifts.values()) for one in seen), len(seen)
        ),
        "verdicts": dict(Counter(word for word, _ in every).most_common()),
        "seeds of a case": round(fmean(seeds for _, seeds in every), 2),
        "cases": len(seen[0].cases),
    }


def summarize_cases(seen: Sequence[SessionOutcome], cases: Collection[str]) -> dict[str, Any]:
    """Of these cases of the sessions, those called worse, each by itself, and the seeds that it took."""
    every = [one for session in seen for name, one in session.cases.items() if name in cases]
    return rate(sum(word == "worse" for word, _ in every), len(every)) | {
        "seeds": round(fmean(seeds for _, seeds in every), 2)
    }


def summarize_pooled(seen: Sequence[SessionOutcome]) -> dict[str, Any]:
    """Sessions whose accuracy was found lower over all cases, and by how many points and standard errors on average."""
    shifts = [one.shifts["accuracy"] for one in seen if "accuracy" in one.shifts]
    return rate(sum(word == "worse" for word, *_ in shifts), len(seen)) | {
        "standard errors": round(fmean(z for _, z, _ in shifts), 3),
        "points": round(100 * fmean(mean for *_, mean in shifts), 3),
        "cases": len(seen[0].cases),
    }


def summarize_pairing(cases: Sequence[RecordedCase], metric: str) -> dict[str, Any]:
    """Means over the cases whose streams differ: rho by rows and of the scores, and the variance of a pair's difference as a
    share of the one expected."""
    by_rows, by_scores, squares, expected = [], [], 0.0, 0.0
    for case in cases:
        before, after = case.seeds[: len(case.stream)], case.stream
        first, second = ([one.metrics[metric] for one in samples] for samples in (before, after))
        if first == second:  # a method that draws nothing but rows
            continue
        by_rows.append(correlation(case.seeds[:BASELINE_SEEDS], after, SCORE_METRICS[metric]))
        by_scores.append(scores_correlation(first, second))
        both = noise.estimate_variance(
            [one.metrics[metric] for one in case.seeds[:BASELINE_SEEDS]]
        ).combined(noise.estimate_variance(second))
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

        def replay(way: str, size: float, count: int, factor: float = 1.0) -> list[SessionOutcome]:
            found = list(
                pool.map(
                    _replay, [(way, number, size, factor) for number in range(count)], chunksize=4
                )
            )
            print(
                f"{way}: {count} sessions, each case {size:g} of its noise lower",
                file=sys.stderr,
                flush=True,
            )
            return found

        cases = read(baselines, bank)
        whole = {
            one.name for one in cases if len(one.seeds) >= BASELINE_SEEDS + MAX_SEEDS
        }  # the others' seeds end before their budget
        few = max(8, sessions // 20)  # sessions of one loss in each case, judged case by case
        record: dict[str, Any] = {
            "date": date.today().isoformat(),
            "sessions": sessions,
            "constants": _constants(),
        }
        record["unchanged"] = summarize_sessions(
            list(pool.map(_unchanged, range(sessions), chunksize=4))
        )
        for way in WAYS:
            benign = replay(way, 0.0, sessions)
            record[way] = {
                "benign": summarize_sessions(benign),
                "pooled z": {
                    m: [round(one.shifts[m][1], 3) for one in benign if m in one.shifts]
                    for m in SCORE_METRICS
                },
                "one case": {
                    str(size): summarize_cases(replay(way, size, few), whole) for size in DROPS
                },
                "every case": {
                    str(size): summarize_pooled(replay(way, size, sessions // 8)) for size in POOLED
                },
                "error rate": {
                    str(factor): {
                        "false": summarize_cases(replay(way, 0.0, few, factor), whole),
                        "found": {
                            str(size): summarize_cases(replay(way, size, few // 2, factor), whole)
                            for size in (1.5, 2.0, 3.0)
                        },
                    }
                    for factor in SHARES
                },
            }
            file.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")
        record["pairing"] = {metric: summarize_pairing(cases, metric) for metric in SCORE_METRICS}
        noises = [100 * case_noise(one) for one in cases]
        record["noise in points"] = {
            "mean": round(fmean(noises), 2),
            "least": round(min(noises), 2),
            "most": round(max(noises), 2),
        }
    file.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")


def _constants() -> dict[str, float]:
    names = (
        "ALPHA",
        "MIN_SEEDS_TO_REJECT",
        "CONFIRMATION_ALPHA",
        "MODEL_PAIRS",
        "EQUIVALENCE_MARGIN_SD",
        "EQUIVALENCE_ALPHA",
        "MAX_STANDARD_ERROR",
        "MIN_SHIFT",
    )
    return {name: getattr(sequential_test, name) for name in names} | {
        f"pooled {name}": getattr(pooled_shift, name)
        for name in (
            "Z_THRESHOLD",
            "CORRELATION_SAME_ROWS",
            "CORRELATION_UNPAIRED",
            "CORRELATION_OTHER_ROWS",
        )
    }


if __name__ == "__main__":
    folder, recorded, record, *count = sys.argv[1:]
    main(Path(folder), Path(recorded), Path(record), *map(int, count))
