"""Run each case once per run, and store its result in the run folder for all workers.

The fixtures of cases and claims call it. A worker holds a case's lock while it runs the case and
stores the outcome, which later workers and tests read. The operating system frees the lock when a
worker dies. No worker waits for a lock while it holds another.
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

# Seconds between two attempts to take a lock, chosen. A higher value lets a worker wait longer
# after another has finished.
POLL_SECONDS = 0.05
# Folders of this run's results, and of those of the run that it resumes.
RESULTS, EARLIER = "results", "earlier"
StoredRun = dict[str, Any]
RunFunction = Callable[[], CaseRun]


class RunCache:
    """The results of a run.

    `folder` is the run folder, which its workers share. `judged_cases` is the number of cases that
    share the session's error rate.
    """

    def __init__(self, folder: Path, judged_cases: int = 1) -> None:
        self._folder, self._judged_cases = folder, judged_cases

    def for_gate(self, case: Case, run: RunFunction, *, timed: bool) -> CaseRun:
        """Return the run of the case for its own test.

        Run it, unless a claim ran it and it is not `timed`: claims run cases without timing.
        """
        return self._run_once(case, run, timed=timed)

    def for_claim(self, case: Case, run: RunFunction) -> CaseRun:
        """Return the stored run of the case, or run it without timing."""
        return self._run_once(case, run, timed=None)

    def read(self, case: Case) -> CaseRun | None:
        """Return the stored run of the case, None if there is none."""
        stored = _read(self._path(RESULTS, case))
        return _make_case_run(stored) if stored and stored["result"] else None

    def results(self) -> dict[tuple[str, str], Result]:
        """Return all results of this run, by suite and case id."""
        results = {}
        for file in sorted((self._folder / RESULTS).glob("*/*.json")):
            if (stored := _read(file)) and stored["result"]:
                results[file.parent.name, file.stem] = _make_case_run(stored).result
        return results

    def _path(self, kind: str, case: Case) -> Path:
        return self._folder / kind / case.suite / f"{case.id}.json"

    def _reuse_key(self, case: Case) -> str:
        """Return the key that an earlier result must match to be reused."""
        return f"{case}, one of {self._judged_cases}"

    def _run_once(self, case: Case, run: RunFunction, *, timed: bool | None) -> CaseRun:
        """Return the run of the case.

        `timed` says whether the case's own test times it; it is None for a claim.
        """
        path = self._path(RESULTS, case)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")).acquire(poll_interval=POLL_SECONDS):
            stored = _read(path)
            if stored and (timed is None or (stored["for claim"] and not timed)):
                if stored["refused"]:
                    raise CaseError(str(stored["refused"]))
                return _make_case_run(stored)
            earlier = self._path(EARLIER, case)
            stored = _read(earlier)
            if (
                stored
                and stored["about"] == self._reuse_key(case)
                and not (stored["for claim"] and timed)
            ):
                os.replace(earlier, path)
                return _make_case_run(stored)
            record: StoredRun = {
                "for claim": timed is None,
                "refused": "",
                "result": None,
                "about": self._reuse_key(case),
            }
            start = time.monotonic()
            try:
                case_run = run()
            except CaseError as error:
                _store(path, record | {"refused": str(error)})
                raise
            case_run = replace(case_run, seconds=time.monotonic() - start)
            timings = {piece: asdict(timing) for piece, timing in case_run.timings.items()}
            record |= {
                "verdict": case_run.verdict.to_dict(),
                "device": case_run.device,
                "update": case_run.update,
                "timings": timings,
            }
            record |= {"seconds": case_run.seconds}
            _store(path, record | {"result": case_run.result.to_json()})
            return case_run


def move_to_earlier(folder: Path) -> int:
    """Mark the results in a dead run's folder as an earlier run's, and return their number.

    Refused cases are removed, so that they run again.
    """
    for file in [*(folder / RESULTS).glob("*/*.json")]:
        if (stored := _read(file)) and stored.get("result"):
            earlier = folder / EARLIER / file.parent.name / file.name
            earlier.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, earlier)
        else:
            file.unlink()
    return count_results(folder)


def count_results(folder: Path) -> int:
    """Return the number of results that a run could reuse."""
    return sum(
        1
        for kind in (RESULTS, EARLIER)
        for file in folder.glob(f"{kind}/*/*.json")
        if (stored := _read(file)) and stored.get("result")
    )


def _store(path: Path, stored: StoredRun) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write.write(path, json.dumps(stored))


def _read(path: Path) -> StoredRun | None:
    try:
        stored: StoredRun = json.loads(path.read_text(encoding="utf-8"))
    # A machine that crashed may leave half a file, which counts as none.
    except (FileNotFoundError, ValueError):
        return None
    return stored


def _make_case_run(stored: StoredRun) -> CaseRun:
    timings = {}
    if stored["timings"]:
        # This import loads torch, so only timed cases do it.
        from pytest_ftcompare.measure.timer import Timing

        timings = {piece: Timing(**fields) for piece, fields in stored["timings"].items()}
    verdict, result = CaseVerdict.from_dict(stored["verdict"]), Result.from_json(stored["result"])
    return CaseRun(verdict, result, stored["device"], stored["update"], timings, stored["seconds"])
