"""What the judgements of a session say together: what fails it, beside the cases that fail by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pytest_ftcompare.compare.pooled_shift import Shift, pool
from pytest_ftcompare.compare.verdict import FAILING, Judgement, Verdict

UNSEEN: frozenset[Verdict] = frozenset({"undecided", "incomparable"})
BLIND = 0.10  # share of judged cases that may go unseen: a gate that can't see is not green


@dataclass(frozen=True)
class Overall:
    """All judgements of a session, and their pooled shifts."""

    judgements: Sequence[Judgement]

    @cached_property
    def shifts(self) -> list[Shift]:
        return pool(self.judgements)

    @property
    def failing(self) -> list[Judgement]:
        """The cases that fail by themselves."""
        return [one for one in self.judgements if one.verdict in FAILING]

    @property
    def unseen(self) -> list[Judgement]:
        """The cases whose outcome counts but was not seen, where they are too many; else none."""
        judged = [one for one in self.judgements if one.outcome]
        found = [one for one in judged if one.verdict in UNSEEN]
        return found if len(found) > BLIND * len(judged) else []

    @property
    def findings(self) -> list[str]:
        """What fails the session as a whole, each a sentence."""
        found = [one.sentence for one in self.shifts if one.outcome == "worse"]
        if self.unseen:
            found.append(
                f"{len(self.unseen)} of {len(self.judgements)} cases could not be compared: a gate that can't see is not green"
            )
        return found

    @property
    def failed(self) -> bool:
        return bool(self.failing or self.findings)
