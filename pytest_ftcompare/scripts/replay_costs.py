"""Error rates of what a case costs: counts of every baseline made larger, and windows drawn with the noise that was measured.

`python -m pytest_ftcompare.scripts.replay_costs baselines/cpu docs/replay_costs.json` goes through the code that decides.
Windows are simulated: logarithms with the SD between processes and within one that compare/cost.py has from real runs
(docs/cost.md), and a drift that all methods of a session share. So these rates are those of the rules, if the noise is what
it was.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from pytest_ftcompare.compare import baseline, cost
from pytest_ftcompare.compare.counts import PARTS, counted
from pytest_ftcompare.compare.overall import Overall
from pytest_ftcompare.compare.pooled import DRIFT
from pytest_ftcompare.compare.verdict import Judgement, with_costs
from pytest_ftcompare.result import Result, Window
from pytest_ftcompare.scripts.replay import rate

SESSIONS = 1000
METHODS = 30  # timed cases of the pocket suites
PIECES = ("step", "evaluation")
LOSSES = (0.0, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1)


def of_counts(baselines: Sequence[Result], growth: float) -> dict[str, Any]:
    """How many of the counts, each made larger by itself, are found, with the same libraries."""
    found = tried = 0
    for base in baselines:
        for name, value in base.signature["execution"].items():
            if not value or name in PARTS:
                continue
            execution = base.signature["execution"] | {name: max(value + 1, math.ceil(value * (1 + growth)))}
            candidate = replace(base, signature=base.signature | {"execution": execution})
            readings = counted(base, candidate, [])
            found += any(one.metric == name and one.outcome in ("worse", "changed") for one in readings)
            tried += 1
    return rate(found, tried)


def windows(chance: random.Random, processes: Sequence[int], loss: float, drift: float) -> list[Window]:
    """Windows of so many in each process, with the pieces that are pooled."""
    found = []
    for number, count in enumerate(processes):
        between = {piece: chance.gauss(0, cost.METRICS[piece].between) for piece in PIECES}
        for _ in range(count):
            times = {
                piece: math.exp(math.log1p(loss) + drift + between[piece] + chance.gauss(0, cost.METRICS[piece].within))
                for piece in PIECES
            }
            found.append(Window({piece: [value, value] for piece, value in times.items()}, process=str(number)))
    return found


def method(chance: random.Random, base: Result, processes: Sequence[int], loss: float, drift: float) -> Judgement:
    """A timed case in a session: windows are taken while the gate asks for them."""
    base = replace(base, windows=windows(chance, processes, 0.0, 0.0))
    taken = windows(chance, [cost.WINDOWS], loss, drift)
    candidate = replace(base, windows=taken[:1])
    while cost.another(base, candidate, update=False):
        candidate = replace(candidate, windows=taken[: len(candidate.windows) + 1])
    same = Judgement(f"{base.id}", base.suite, "same", 1)
    return with_costs(same, cost.timed(base, candidate, []))


def of_times(base: Result, processes: Sequence[int], loss: float, *, all_methods: bool) -> dict[str, Any]:
    """Cases called worse, and sessions of `METHODS` methods failed by a case and by a pooled shift."""
    chance, cases, failed, pooled = random.Random(0), Counter[str](), 0, 0
    for _ in range(SESSIONS):
        drift = chance.gauss(0, DRIFT)
        found = [
            method(chance, replace(base, id=f"m{number}-t"), processes, loss if all_methods or number == 0 else 0.0, drift)
            for number in range(METHODS if all_methods else 1)
        ]
        cases.update(one.verdict for one in found)
        whole = Overall(found)
        failed += bool(whole.failing)
        pooled += any(one.outcome == "worse" for one in whole.shifts)
    return {
        "case worse": rate(cases["worse"], cases.total()),
        "session with a case worse": rate(failed, SESSIONS),
        "session with a pooled shift": rate(pooled, SESSIONS),
    }


def main(baselines: Path, file: Path) -> None:
    """Replay, and write the record."""
    found = [Result.from_json(one.read_text(encoding="utf-8")) for one in baseline.results_in(baselines)]
    record: dict[str, Any] = {"date": date.today().isoformat(), "sessions": SESSIONS, "methods": METHODS}
    record["one more"] = of_counts(found, 0.0)
    record["1 % more"] = of_counts(found, 0.01)
    for name, processes in (("baseline of one process", [3]), ("baseline of three processes", [3, 3, 3])):
        record[name] = {
            str(loss): {
                "one method": of_times(found[0], processes, loss, all_methods=False)["case worse"],
                "all methods": of_times(found[0], processes, loss, all_methods=True) if loss in (0.0, 0.03, 0.05) else None,
            }
            for loss in LOSSES
        }
        print(name, json.dumps(record[name]), file=sys.stderr, flush=True)
    file.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*(Path(one) for one in sys.argv[1:3]))
