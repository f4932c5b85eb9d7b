"""This run's results, in its folder: a case runs once, whichever worker or test asks for it first.

Who runs a case holds its lock, which the operating system frees when a worker dies, and leaves what came of it; whoever comes
next reads that. Nobody waits for one lock while holding another.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from pytest_ftcompare.candidate import CaseError
from pytest_ftcompare.case import Case
from pytest_ftcompare.compare.verdict import Judgement
from pytest_ftcompare.gate import Held
from pytest_ftcompare.result import Result

POLL = 0.05  # seconds between two looks at a lock that another worker holds
Run = Callable[[], Held]


class Kept:
    """The results of a run; `folder` is the run's, the same for all its workers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "results"

    def for_gate(self, case: Case, run: Run, *, timed: bool) -> Held:
        """The case's result for its own test: run, unless a claim was first; no claim's run is timed."""
        return self._once(case, run, lambda left: bool(left["for claim"]) and not timed, for_claim=False)

    def for_claim(self, case: Case, run: Run) -> Held:
        """The case's result, as it is there, or else run without a clock."""
        return self._once(case, run, lambda _: True, for_claim=True)

    def read(self, case: Case) -> Held | None:
        """The case's result as it is there."""
        try:
            left = json.loads(self._path(case).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return _held(left) if left["result"] else None

    def _path(self, case: Case) -> Path:
        return self._folder / case.suite / f"{case.id}.json"

    def _once(self, case: Case, run: Run, serves: Callable[[dict[str, object]], bool], *, for_claim: bool) -> Held:
        path = self._path(case)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")).acquire(poll_interval=POLL):
            if path.exists() and serves(left := json.loads(path.read_text(encoding="utf-8"))):
                if left["refused"]:
                    raise CaseError(str(left["refused"]))
                return _held(left)
            try:
                held = run()
            except CaseError as error:
                _leave(path, {"for claim": for_claim, "refused": str(error), "result": None})
                raise
            of = {"judgement": held.judgement.to_dict(), "device": held.device, "update": held.update}
            _leave(path, {"for claim": for_claim, "refused": "", "result": held.result.to_json(), **of})
            return held


def _leave(path: Path, left: dict[str, object]) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(left), encoding="utf-8")
    os.replace(part, path)


def _held(left: dict[str, object]) -> Held:
    judgement: dict[str, object] = left["judgement"]  # type: ignore[assignment]
    return Held(
        Judgement.from_dict(judgement), Result.from_json(str(left["result"])), str(left["device"]), bool(left["update"])
    )
