"""This run's judgements and results over all workers; what they mean for the exit status; writing accepted baselines.

Only the controller holds one. Workers send each case's judgement on its test report, as JSON text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from pytest_ftcompare.compare import baseline
from pytest_ftcompare.compare.verdict import BLIND, UNSEEN, Judgement
from pytest_ftcompare.result import Result


def to_text(judgement: Judgement, result: Result | None, device: str) -> str:
    """What a test report carries; the result only where it is to become a baseline."""
    data = {"judgement": judgement.to_dict(), "device": device, "result": result.to_json() if result else None}
    return json.dumps(data)


@dataclass
class Session:
    """Everything that the cases of this run said."""

    baselines: Path
    update: bool
    judgements: list[Judgement] = field(default_factory=list)
    accepted: dict[str, list[Result]] = field(default_factory=dict)  # device -> results
    written: int = 0
    interrupted: bool = False
    failure: str = ""  # why accepted baselines could not be written

    def add(self, text: str, *, passed: bool) -> Judgement:
        """Take in what a report carries; a test that failed for whatever reason accepts nothing."""
        data = json.loads(text)
        judgement = Judgement.from_dict(data["judgement"])
        self.judgements.append(judgement)
        if data["result"] is not None and passed:
            self.accepted.setdefault(data["device"], []).append(Result.from_json(data["result"]))
        return judgement

    @property
    def blind(self) -> list[Judgement]:
        """The cases whose outcome counts but was not seen, where they are too many; else none, as in an update."""
        if self.update:
            return []
        judged = [one for one in self.judgements if one.outcome]
        unseen = [one for one in judged if one.verdict in UNSEEN]
        return unseen if len(unseen) > BLIND * len(judged) else []

    def write(self) -> None:
        """Write the accepted baselines; an interrupted session writes none."""
        if not self.update or self.interrupted:
            return
        try:
            for device, results in sorted(self.accepted.items()):
                baseline.write(self.baselines, device, results)
                self.written += len(results)
        except OSError as error:
            self.failure = f"the baselines could not be written to {self.baselines} ({error.strerror or error})"
