"""What the verdicts of a session say together: what fails it, beside the cases that fail by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pytest_ftcompare.compare.pooled_shift import PooledShift, pool_shifts
from pytest_ftcompare.compare.verdict import FAILING, CaseVerdict, VerdictName

UNJUDGED_VERDICTS: frozenset[VerdictName] = frozenset({"undecided", "incomparable"})
MAX_UNJUDGED_SHARE = (
    0.10  # share of judged cases that may go unseen: a gate that can't see is not green
)


@dataclass(frozen=True)
class SessionVerdict:
    """All verdicts of a session, and their pooled shifts."""

    verdicts: Sequence[CaseVerdict]

    @cached_property
    def shifts(self) -> list[PooledShift]:
        return pool_shifts(self.verdicts)

    @property
    def failing(self) -> list[CaseVerdict]:
        """The cases that fail by themselves."""
        return [one for one in self.verdicts if one.verdict in FAILING]

    @property
    def excess_unjudged(self) -> list[CaseVerdict]:
        """The cases whose outcome counts but was not seen, where they are too many; else none."""
        judged = [one for one in self.verdicts if one.judge_accuracy]
        found = [one for one in judged if one.verdict in UNJUDGED_VERDICTS]
        return found if len(found) > MAX_UNJUDGED_SHARE * len(judged) else []

    @property
    def findings(self) -> list[str]:
        """What fails the session as a whole, each a sentence."""
        found = [one.sentence for one in self.shifts if one.outcome == "worse"]
        if self.excess_unjudged:
            found.append(
                f"{len(self.excess_unjudged)} of {len(self.verdicts)} cases could not be compared: a gate that can't see is not green"
            )
        return found

    @property
    def failed(self) -> bool:
        return bool(self.failing or self.findings)
