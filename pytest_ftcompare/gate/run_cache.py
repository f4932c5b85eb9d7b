"""This run's results, in its folder: a case runs once, whichever worker or test asks for it first.

Who runs a case holds its lock, which the operating system frees when a worker dies, and leaves what came of it; whoever comes
next reads that. Nobody waits for one lock while holding another.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.gate.case_work import CaseError
from pytest_ftcompare.gate.run_case import CaseRun
from pytest_ftcompare.results import atomic_write
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.result import Result

POLL = 0.05  # seconds between two looks at a lock that another worker holds
RESULTS, EARLIER = "results", "earlier"  # of this run, and of the run that it goes on with
Left = dict[str, Any]
Make = Callable[[], CaseRun]


class RunCache:
    """The results of a run; `folder` is the run's, the same for all its workers; `judged` cases share its error rate."""

    def __init__(self, folder: Path, judged_cases: int = 1) -> None:
        self._folder, self._judged = folder, judged_cases

    def for_gate(self, case: Case, run: Make, *, timed: bool) -> CaseRun:
        """The case's result for its own test: run, unless a claim was first; no claim's run is timed."""
        return self._once(case, run, timed=timed)

    def for_claim(self, case: Case, run: Make) -> CaseRun:
        """The case's result, as it is there, or else run without a clock."""
        return self._once(case, run, timed=None)

    def read(self, case: Case) -> CaseRun | None:
        """The case's result as it is there."""
        left = _read(self._path(RESULTS, case))
        return _held(left) if left and left["result"] else None

    def results(self) -> dict[tuple[str, str], Result]:
        """All results of this run, by suite and case."""
        found = {}
        for file in sorted((self._folder / RESULTS).glob("*/*.json")):
            if (left := _read(file)) and left["result"]:
                found[file.parent.name, file.stem] = _held(left).result
        return found

    def _path(self, which: str, case: Case) -> Path:
        return self._folder / which / case.suite / f"{case.id}.json"

    def _about(self, case: Case) -> str:
        """What a result of an earlier run must be of, to stand for this run's."""
        return f"{case}, one of {self._judged}"

    def _once(self, case: Case, run: Make, *, timed: bool | None) -> CaseRun:
        """The case's result, once; `timed` says whether its own test times it, None that a claim asks."""
        path = self._path(RESULTS, case)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")).acquire(poll_interval=POLL):
            left = _read(path)
            if left and (timed is None or (left["for claim"] and not timed)):
                if left["refused"]:
                    raise CaseError(str(left["refused"]))
                return _held(left)
            earlier = self._path(EARLIER, case)
            left = _read(earlier)
            if left and left["about"] == self._about(case) and not (left["for claim"] and timed):
                os.replace(earlier, path)
                return _held(left)
            of: Left = {
                "for claim": timed is None,
                "refused": "",
                "result": None,
                "about": self._about(case),
            }
            began = time.monotonic()
            try:
                held = run()
            except CaseError as error:
                _leave(path, of | {"refused": str(error)})
                raise
            held = replace(held, seconds=time.monotonic() - began)
            timings = {what: asdict(one) for what, one in held.timings.items()}
            of |= {
                "verdict": held.verdict.to_dict(),
                "device": held.device,
                "update": held.update,
                "timings": timings,
            }
            of |= {"seconds": held.seconds}
            _leave(path, of | {"result": held.result.to_json()})
            return held


def move_to_earlier(folder: Path) -> int:
    """Let the results in a dead run's folder be an earlier run's; how many there are. What was refused is tried again."""
    for file in [*(folder / RESULTS).glob("*/*.json")]:
        if (left := _read(file)) and left.get("result"):
            earlier = folder / EARLIER / file.parent.name / file.name
            earlier.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, earlier)
        else:
            file.unlink()
    return count_results(folder)


def count_results(folder: Path) -> int:
    """How many results there are for a run to go on with."""
    return sum(1 for which in (RESULTS, EARLIER) for _ in folder.glob(f"{which}/*/*.json"))


def _leave(path: Path, left: Left) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write.write(path, json.dumps(left))


def _read(path: Path) -> Left | None:
    try:
        left: Left = json.loads(path.read_text(encoding="utf-8"))
    except (
        FileNotFoundError,
        ValueError,
    ):  # a machine that went down may leave half a file: as if it were not there
        return None
    return left


def _held(left: Left) -> CaseRun:
    timings = {}
    if left["timings"]:
        from pytest_ftcompare.measure.timer import Timing  # which imports torch

        timings = {what: Timing(**one) for what, one in left["timings"].items()}
    verdict, result = CaseVerdict.from_dict(left["verdict"]), Result.from_json(left["result"])
    return CaseRun(verdict, result, left["device"], left["update"], timings, left["seconds"])
