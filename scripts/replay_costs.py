"""Measure the error rates of cost verdicts, on larger counts and simulated windows.

Run `python -m scripts.replay_costs baselines/cpu docs/replay_costs.json`. It judges with the gate's
code. Windows are simulated with the noise that `results/cost_metrics.py` states (measured:
docs/cost.md) and a drift that all methods of a session share. So the rates hold if the noise is as
measured. On other machines each kind of yardstick gets its own factor, and a piece of work is a mix
of kernels and dispatch that no yardstick knows.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from pytest_ftcompare.compare import measured_cost
from pytest_ftcompare.compare.counted_cost import PEAK_PARTS, compare_counts
from pytest_ftcompare.compare.environment_diff import differences
from pytest_ftcompare.compare.pooled_shift import SESSION_TIME_SD
from pytest_ftcompare.compare.session_verdict import SessionVerdict
from pytest_ftcompare.compare.verdict import CaseVerdict, with_costs
from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.cost_metrics import METRICS
from pytest_ftcompare.results.result import Result, Window
from scripts.replay import rate

SESSIONS = 300
METHODS = 30  # timed cases of the pocket suites
WORKERS = 4  # processes that they are spread over
PIECES = ("step", "evaluation")
LOSSES = (0.0, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1)
# Range from which each kind's factor is drawn.
MACHINES = {"0.6 to 1.8": (0.6, 1.8), "0.9 to 1.1": (0.9, 1.1)}
KINDS = ("kernels", "dispatch", "memory", "interpreter")
# An upgrade that changes nothing. Without an upgrade, times are not judged.
UPGRADE = {"peft": "another"}
Machine = dict[str, float]
SAME_MACHINE: Machine = dict.fromkeys(KINDS, 1.0)


def count_rates(baselines: Sequence[Result], growth: float) -> dict[str, Any]:
    """Enlarge each count in turn, and return the share that is found with the same libraries."""
    found = tried = 0
    for base in baselines:
        for name, value in base.signature["execution"].items():
            if not value or name in PEAK_PARTS:
                continue
            execution = base.signature["execution"] | {
                name: max(value + 1, math.ceil(value * (1 + growth)))
            }
            candidate = replace(base, signature=base.signature | {"execution": execution})
            readings = compare_counts(base, candidate, [])
            found += any(
                reading.metric == name and reading.outcome in ("worse", "changed")
                for reading in readings
            )
            tried += 1
    return rate(found, tried)


@dataclass(frozen=True)
class WindowModel:
    """How a case's windows are drawn.

    `loss` is a share of time, `drift` the session's shift of the logarithm, `machine` a factor for
    each kind of work, `kernel_share` the share of kernels (the rest is dispatch).
    """

    loss: float = 0.0
    drift: float = 0.0
    machine: Machine = field(default_factory=lambda: SAME_MACHINE)
    kernel_share: float = 0.5
    worker: int = 0

    def process(self, rng: random.Random, name: str) -> Callable[[], Window]:
        """Return a process that draws windows; its windows share one deviation."""
        rules = {piece: METRICS[piece] for piece in PIECES}
        between = {piece: rng.gauss(0, rule.between) for piece, rule in rules.items()}
        kernels, dispatch = self.machine["kernels"], self.machine["dispatch"]
        slowdown = (
            kernels**self.kernel_share * dispatch ** (1 - self.kernel_share) * (1 + self.loss)
        )

        def window() -> Window:
            times = {}
            for piece, rule in rules.items():
                noise = self.drift + between[piece] + rng.gauss(0, rule.within)
                seconds = slowdown * math.exp(noise)
                times[piece] = [seconds, seconds / kernels, seconds / dispatch]
            return Window(times, process=name, yardsticks=dict(self.machine))

        return window


def judge_timed_case(
    rng: random.Random, base: Result, processes: Sequence[int], model: WindowModel
) -> CaseVerdict:
    """Judge a timed case after an upgrade, with as many windows as the gate asks for.

    `processes` has the number of windows of each process of the baseline.
    """
    unchanged = replace(model, loss=0.0, drift=0.0, machine=SAME_MACHINE)
    windows = []
    for number, count in enumerate(processes):
        process = unchanged.process(rng, f"base {number}")
        windows += [process() for _ in range(count)]
    base = replace(base, windows=windows)
    candidate = replace(base, environment=base.environment | UPGRADE, windows=[])
    take_window = {
        "here": model.process(rng, f"worker {model.worker}"),
        "fresh": model.process(rng, f"fresh {base.id}"),
    }
    while place := measured_cost.next_window(base, candidate, update=False):
        candidate = replace(candidate, windows=[*candidate.windows, take_window[place]()])
    changes = differences(base.environment, candidate.environment)
    same = CaseVerdict(f"{base.id}", base.suite, "same", 1)
    return with_costs(same, measured_cost.compare_times(base, candidate, changes))


def on_other_machines(base: Result, low: float, high: float) -> dict[str, Any]:
    """Return the rates of failed sessions and of judged cases on machines with drawn factors.

    Nothing is slower, so each failed session is a false alarm.
    """
    rng, failed, judged = random.Random(1), 0, 0
    for _ in range(SESSIONS):
        machine = {kind: math.exp(rng.uniform(math.log(low), math.log(high))) for kind in KINDS}
        verdicts = [
            judge_timed_case(
                rng,
                replace(base, id=f"m{number}-t"),
                [2, 1],
                WindowModel(
                    drift=rng.gauss(0, SESSION_TIME_SD),
                    machine=machine,
                    kernel_share=rng.random(),
                    worker=number % WORKERS,
                ),
            )
            for number in range(METHODS)
        ]
        failed += SessionVerdict(verdicts).failed
        judged += sum(verdict.costs[0].outcome != "incomparable" for verdict in verdicts)
    return {
        "session failed": rate(failed, SESSIONS),
        "case judged": rate(judged, SESSIONS * METHODS),
    }


def time_rates(
    base: Result, processes: Sequence[int], loss: float, *, all_methods: bool
) -> dict[str, Any]:
    """Return the rates of worse cases, and of sessions with a worse case or a pooled shift."""
    rng, cases, failed, pooled = random.Random(0), Counter[str](), 0, 0
    for _ in range(SESSIONS):
        drift = rng.gauss(0, SESSION_TIME_SD)
        verdicts = [
            judge_timed_case(
                rng,
                replace(base, id=f"m{number}-t"),
                processes,
                WindowModel(
                    loss if all_methods or number == 0 else 0.0, drift, worker=number % WORKERS
                ),
            )
            for number in range(METHODS if all_methods else 1)
        ]
        cases.update(verdict.verdict for verdict in verdicts)
        session = SessionVerdict(verdicts)
        failed += bool(session.failing)
        pooled += any(shift.outcome == "worse" for shift in session.shifts)
    return {
        "case worse": rate(cases["worse"], cases.total()),
        "session with a case worse": rate(failed, SESSIONS),
        "session with a pooled shift": rate(pooled, SESSIONS),
    }


def main(baselines: Path, file: Path) -> None:
    """Replay, and write the record."""
    results = [
        Result.from_json(path.read_text(encoding="utf-8"))
        for path in baseline_store.result_paths(baselines)
    ]
    record: dict[str, Any] = {
        "date": date.today().isoformat(),
        "sessions": SESSIONS,
        "methods": METHODS,
    }
    record["one more"] = count_rates(results, 0.0)
    record["1 % more"] = count_rates(results, 0.01)
    for name, processes in (
        ("baseline of two processes", [2, 1]),
        ("baseline of six processes", [2, 1, 2, 1, 2, 1]),
    ):
        record[name] = {
            str(loss): {
                "one method": time_rates(results[0], processes, loss, all_methods=False)[
                    "case worse"
                ],
                "all methods": time_rates(results[0], processes, loss, all_methods=True)
                if loss in (0.0, 0.03, 0.05)
                else None,
            }
            for loss in LOSSES
        }
        print(name, json.dumps(record[name]), file=sys.stderr, flush=True)
    for name, factors in MACHINES.items():
        record[f"other machines, factors {name}"] = on_other_machines(results[0], *factors)
    file.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:3]))
