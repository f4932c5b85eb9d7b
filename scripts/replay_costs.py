"""Error rates of what a case costs: counts of every baseline made larger, and windows drawn with the noise that was measured.

`python -m scripts.replay_costs baselines/cpu docs/replay_costs.json` goes through the code that decides.
Windows are simulated: logarithms with the SD between processes and within one that compare/measured_cost.py has from real runs
(docs/cost.md), and a drift that all methods of a session share. So these rates are those of the rules, if the noise is what
it was. Other machines are simulated, too: each kind of yardstick gets a factor of its own, and a piece of work is a mix
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
MACHINES = {
    "0.6 to 1.8": (0.6, 1.8),
    "0.9 to 1.1": (0.9, 1.1),
}  # between which each factor is drawn
KINDS = ("kernels", "dispatch", "memory", "interpreter")
UPGRADE = {"peft": "another"}  # an upgrade that changes nothing: without it no time would be judged
Machine = dict[str, float]
SAME_MACHINE: Machine = dict.fromkeys(KINDS, 1.0)


def count_rates(baselines: Sequence[Result], growth: float) -> dict[str, Any]:
    """How many of the counts, each made larger by itself, are found, with the same libraries."""
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
                one.metric == name and one.outcome in ("worse", "changed") for one in readings
            )
            tried += 1
    return rate(found, tried)


@dataclass(frozen=True)
class WindowModel:
    """What a case's windows are drawn with: the loss, the session's drift, the machine's factors, the share
    of kernels, beside dispatch, in the case's pieces, and which worker takes them."""

    loss: float = 0.0
    drift: float = 0.0
    machine: Machine = field(default_factory=lambda: SAME_MACHINE)
    kernel_share: float = 0.5
    worker: int = 0

    def process(self, chance: random.Random, name: str) -> Callable[[], Window]:
        """A process, whose windows share what it does to their times."""
        rules = {piece: METRICS[piece] for piece in PIECES}
        between = {piece: chance.gauss(0, rule.between) for piece, rule in rules.items()}
        kernels, dispatch = self.machine["kernels"], self.machine["dispatch"]
        slower = kernels**self.kernel_share * dispatch ** (1 - self.kernel_share) * (1 + self.loss)

        def window() -> Window:
            times = {}
            for piece, rule in rules.items():
                noise = self.drift + between[piece] + chance.gauss(0, rule.within)
                seconds = slower * math.exp(noise)
                times[piece] = [seconds, seconds / kernels, seconds / dispatch]
            return Window(times, process=name, yardsticks=dict(self.machine))

        return window


def judge_timed_case(
    chance: random.Random, base: Result, processes: Sequence[int], site: WindowModel
) -> CaseVerdict:
    """A timed case in a session with an upgrade claimed: windows are taken while the gate asks for them."""
    home = replace(site, loss=0.0, drift=0.0, machine=SAME_MACHINE)
    kept = []
    for number, count in enumerate(processes):
        process = home.process(chance, f"base {number}")
        kept += [process() for _ in range(count)]
    base = replace(base, windows=kept)
    candidate = replace(base, environment=base.environment | UPGRADE, windows=[])
    take = {
        "here": site.process(chance, f"worker {site.worker}"),
        "fresh": site.process(chance, f"fresh {base.id}"),
    }
    while where := measured_cost.next_window(base, candidate, update=False):
        candidate = replace(candidate, windows=[*candidate.windows, take[where]()])
    changes = differences(base.environment, candidate.environment)
    same = CaseVerdict(f"{base.id}", base.suite, "same", 1)
    return with_costs(same, measured_cost.compare_times(base, candidate, changes))


def on_other_machines(base: Result, low: float, high: float) -> dict[str, Any]:
    """Sessions failed by time on machines whose factors are drawn, where nothing is slower; and how many cases were judged."""
    chance, failed, judged = random.Random(1), 0, 0
    for _ in range(SESSIONS):
        machine = {kind: math.exp(chance.uniform(math.log(low), math.log(high))) for kind in KINDS}
        found = [
            judge_timed_case(
                chance,
                replace(base, id=f"m{number}-t"),
                [2, 1],
                WindowModel(
                    drift=chance.gauss(0, SESSION_TIME_SD),
                    machine=machine,
                    kernel_share=chance.random(),
                    worker=number % WORKERS,
                ),
            )
            for number in range(METHODS)
        ]
        failed += SessionVerdict(found).failed
        judged += sum(one.costs[0].outcome != "incomparable" for one in found)
    return {
        "session failed": rate(failed, SESSIONS),
        "case judged": rate(judged, SESSIONS * METHODS),
    }


def time_rates(
    base: Result, processes: Sequence[int], loss: float, *, all_methods: bool
) -> dict[str, Any]:
    """Cases called worse, and sessions of `METHODS` methods failed by a case and by a pooled shift."""
    chance, cases, failed, pooled = random.Random(0), Counter[str](), 0, 0
    for _ in range(SESSIONS):
        drift = chance.gauss(0, SESSION_TIME_SD)
        found = [
            judge_timed_case(
                chance,
                replace(base, id=f"m{number}-t"),
                processes,
                WindowModel(
                    loss if all_methods or number == 0 else 0.0, drift, worker=number % WORKERS
                ),
            )
            for number in range(METHODS if all_methods else 1)
        ]
        cases.update(one.verdict for one in found)
        whole = SessionVerdict(found)
        failed += bool(whole.failing)
        pooled += any(one.outcome == "worse" for one in whole.shifts)
    return {
        "case worse": rate(cases["worse"], cases.total()),
        "session with a case worse": rate(failed, SESSIONS),
        "session with a pooled shift": rate(pooled, SESSIONS),
    }


def main(baselines: Path, file: Path) -> None:
    """Replay, and write the record."""
    found = [
        Result.from_json(one.read_text(encoding="utf-8"))
        for one in baseline_store.result_paths(baselines)
    ]
    record: dict[str, Any] = {
        "date": date.today().isoformat(),
        "sessions": SESSIONS,
        "methods": METHODS,
    }
    record["one more"] = count_rates(found, 0.0)
    record["1 % more"] = count_rates(found, 0.01)
    for name, processes in (
        ("baseline of two processes", [2, 1]),
        ("baseline of six processes", [2, 1, 2, 1, 2, 1]),
    ):
        record[name] = {
            str(loss): {
                "one method": time_rates(found[0], processes, loss, all_methods=False)[
                    "case worse"
                ],
                "all methods": time_rates(found[0], processes, loss, all_methods=True)
                if loss in (0.0, 0.03, 0.05)
                else None,
            }
            for loss in LOSSES
        }
        print(name, json.dumps(record[name]), file=sys.stderr, flush=True)
    for name, factors in MACHINES.items():
        record[f"other machines, factors {name}"] = on_other_machines(found[0], *factors)
    file.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*(Path(one) for one in sys.argv[1:3]))
