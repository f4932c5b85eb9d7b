"""Measure the gate's error rates on sessions replayed from recorded seeds.

`python -m scripts.replay baselines/cpu docs/bank docs/replay.json` draws sessions with
scripts/recorded.py and judges them with the gate's code. The bank, made by scripts/bank.py, has
more seeds of some cases (docs/bank/seeds), and for all cases the same seeds with another stream
(docs/bank/stream).
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
DROPS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)  # losses of one case, in units of its noise
POOLED_DROPS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)  # losses of every case
FACTORS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)  # times a test's error rate


@dataclass(frozen=True)
class SessionOutcome:
    """A replayed session's verdicts.

    `cases` has case -> verdict and seeds; `shifts` has metric -> outcome, standard errors and mean
    of the pooled shift.
    """

    failed: bool
    cases: dict[str, tuple[str, int]]
    shifts: dict[str, tuple[str, float, float]]


def _outcome(verdicts: Sequence[CaseVerdict]) -> SessionOutcome:
    session = SessionVerdict(verdicts)
    return SessionOutcome(
        session.failed,
        {f"{verdict.suite}/{verdict.id}": (verdict.verdict, verdict.seeds) for verdict in verdicts},
        {shift.metric: (shift.outcome, shift.z, shift.mean) for shift in session.shifts},
    )


# The cases that a worker process has read.
CASES: list[RecordedCase] = []
DRAWS = {"other stream": other_stream, "other seeds": other_seeds}


def _begin(baselines: Path, bank: Path) -> None:
    CASES.extend(read(baselines, bank))


def _has_all_seeds(case: RecordedCase) -> bool:
    return len(case.seeds) >= BASELINE_SEEDS + MAX_SEEDS


def _cases_for(draw: str) -> list[RecordedCase]:
    return [case for case in CASES if draw == "other stream" or _has_all_seeds(case)]


def _replay(work: tuple[str, int, float, float]) -> SessionOutcome:
    draw, number, size, factor = work
    return _outcome(DRAWS[draw](_cases_for(draw), number).verdicts(size, factor))


def _unchanged(number: int) -> SessionOutcome:
    """Judge the same seeds again in the same environment; each session draws other baselines."""
    baselines = other_seeds(_cases_for("other seeds"), number).baselines
    baselines = [
        replace(
            base,
            seed_results=[
                replace(seed_result, seed=index)
                for index, seed_result in enumerate(base.seed_results)
            ],
        )
        for base in baselines
    ]
    verdicts = [
        judge(base, replace(base, seed_results=base.seed_results[:1]), MAX_SEEDS)
        for base in baselines
    ]
    return _outcome([verdict for verdict in verdicts if isinstance(verdict, CaseVerdict)])


def rate(found: int, tried: int) -> dict[str, float | int]:
    """Return a rate with its exact 95 % interval (Clopper and Pearson)."""
    from scipy import stats

    low, high = stats.binomtest(found, tried).proportion_ci(method="exact")
    return {
        "found": found,
        "of": tried,
        "rate": round(found / tried, 5),
        "low": round(low, 5),
        "high": round(high, 5),
    }


def summarize_sessions(sessions: Sequence[SessionOutcome]) -> dict[str, Any]:
    """Return the rates of failed sessions, the verdicts, and the seeds trained for each case."""
    cases = [case for session in sessions for case in session.cases.values()]
    worse = [
        any(verdict == "worse" for verdict, _ in session.cases.values()) for session in sessions
    ]
    shifted = [
        any(outcome == "worse" for outcome, *_ in session.shifts.values()) for session in sessions
    ]
    return {
        "failed": rate(sum(session.failed for session in sessions), len(sessions)),
        "with a case worse": rate(sum(worse), len(sessions)),
        "with a pooled shift": rate(sum(shifted), len(sessions)),
        "verdicts": dict(Counter(verdict for verdict, _ in cases).most_common()),
        "seeds of a case": round(fmean(seeds for _, seeds in cases), 2),
        "cases": len(sessions[0].cases),
    }


def summarize_cases(sessions: Sequence[SessionOutcome], names: Collection[str]) -> dict[str, Any]:
    """Return the rate of `worse` among these cases, and the seeds trained for each."""
    cases = [case for session in sessions for name, case in session.cases.items() if name in names]
    return rate(sum(verdict == "worse" for verdict, _ in cases), len(cases)) | {
        "seeds": round(fmean(seeds for _, seeds in cases), 2)
    }


def summarize_pooled(sessions: Sequence[SessionOutcome]) -> dict[str, Any]:
    """Return the rate of sessions with a pooled loss of accuracy, and the mean shift."""
    shifts = [session.shifts["accuracy"] for session in sessions if "accuracy" in session.shifts]
    return rate(sum(outcome == "worse" for outcome, *_ in shifts), len(sessions)) | {
        "standard errors": round(fmean(z for _, z, _ in shifts), 3),
        "points": round(100 * fmean(mean for *_, mean in shifts), 3),
        "cases": len(sessions[0].cases),
    }


def summarize_pairing(cases: Sequence[RecordedCase], metric: str) -> dict[str, Any]:
    """Return means over the cases whose streams differ.

    "rho by rows" and "rho of scores" are a pair's correlations. "variance to expected" is the
    variance of a pair's difference over the variance that rho by rows predicts.
    """
    by_rows, by_scores, squares, expected = [], [], 0.0, 0.0
    for case in cases:
        before, after = case.seeds[: len(case.stream)], case.stream
        first, second = (
            [seed_result.metrics[metric] for seed_result in side] for side in (before, after)
        )
        # A method that draws nothing but rows gives equal scores.
        if first == second:
            continue
        by_rows.append(correlation(case.seeds[:BASELINE_SEEDS], after, SCORE_METRICS[metric]))
        by_scores.append(scores_correlation(first, second))
        both = noise.estimate_variance(
            [seed_result.metrics[metric] for seed_result in case.seeds[:BASELINE_SEEDS]]
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

        def replay(draw: str, size: float, count: int, factor: float = 1.0) -> list[SessionOutcome]:
            work = [(draw, number, size, factor) for number in range(count)]
            outcomes = list(pool.map(_replay, work, chunksize=4))
            print(
                f"{draw}: {count} sessions, each case {size:g} of its noise lower",
                file=sys.stderr,
                flush=True,
            )
            return outcomes

        cases = read(baselines, bank)
        # Other cases run out of seeds before the gate would stop.
        complete = {case.name for case in cases if _has_all_seeds(case)}
        # Sessions with a loss in every case, which are judged case by case.
        few = max(8, sessions // 20)
        record: dict[str, Any] = {
            "date": date.today().isoformat(),
            "sessions": sessions,
            "constants": _constants(),
        }
        record["unchanged"] = summarize_sessions(
            list(pool.map(_unchanged, range(sessions), chunksize=4))
        )
        for draw in DRAWS:
            benign = replay(draw, 0.0, sessions)
            record[draw] = {
                "benign": summarize_sessions(benign),
                "pooled z": {
                    metric: [
                        round(session.shifts[metric][1], 3)
                        for session in benign
                        if metric in session.shifts
                    ]
                    for metric in SCORE_METRICS
                },
                "one case": {
                    str(size): summarize_cases(replay(draw, size, few), complete) for size in DROPS
                },
                "every case": {
                    str(size): summarize_pooled(replay(draw, size, sessions // 8))
                    for size in POOLED_DROPS
                },
                "error rate": {
                    str(factor): {
                        "false": summarize_cases(replay(draw, 0.0, few, factor), complete),
                        "found": {
                            str(size): summarize_cases(
                                replay(draw, size, few // 2, factor), complete
                            )
                            for size in (1.5, 2.0, 3.0)
                        },
                    }
                    for factor in FACTORS
                },
            }
            file.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")
        record["pairing"] = {metric: summarize_pairing(cases, metric) for metric in SCORE_METRICS}
        noises = [100 * case_noise(case) for case in cases]
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
    baselines, bank, record, *sessions = sys.argv[1:]
    main(Path(baselines), Path(bank), Path(record), *map(int, sessions))
