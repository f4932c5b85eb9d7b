"""A claim: what a study states of how cases relate, what this run's evidence says of it, and what it said last time.

A claim has an *outcome*: its estimate's 95 % interval lies wholly where the study says (`reproduced`), wholly elsewhere
(`contradicted`), or on both sides (`undecided`). The last accepted outcome is the claim's baseline: the gate fails when it
changes, not when a study is wrong about a small model.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pytest_ftcompare.compare.claims.relations import Relation
from pytest_ftcompare.results.claim_record import ClaimOutcome, ClaimRecord, record_of
from pytest_ftcompare.results.estimate import Estimate

ClaimVerdictName = Literal["held", "noted", "changed", "new", "untested"]
FAILING: frozenset[ClaimVerdictName] = frozenset({"changed", "new"})


@dataclass(frozen=True)
class ExpectedRange:
    """Where a study says that the estimate lies, in its unit; an infinite end is open."""

    low: float = -math.inf
    high: float = math.inf

    def outcome(self, estimate: Estimate) -> ClaimOutcome:
        """What the estimate's interval says; two one-sided tests where both ends are finite."""
        low, high = estimate.interval()
        if self.low <= low and high <= self.high:
            return "reproduced"
        return "contradicted" if high < self.low or low > self.high else "undecided"

    def describe(self, unit: str) -> str:
        """The range in words: "at least +2 pt"."""
        sign = "+" if unit == "pt" else ""
        if math.isinf(self.high):
            return f"at least {self.low:{sign}g} {unit}"
        if math.isinf(self.low):
            return f"at most {self.high:{sign}g} {unit}"
        return f"from {self.low:{sign}g} to {self.high:{sign}g} {unit}"


def at_least(value: float) -> ExpectedRange:
    return ExpectedRange(low=value)


def at_most(value: float) -> ExpectedRange:
    return ExpectedRange(high=value)


def within(margin: float, around: float = 0.0) -> ExpectedRange:
    """About the same: no farther than `margin` from `around`."""
    return ExpectedRange(around - margin, around + margin)


@dataclass(frozen=True)
class Claim:
    """A statement of a study (`says`, in our words), its `source` (paper and place), and the relation that tests it.

    `name` is the test's id, the baseline's file name and the anchor in docs/claims.md; `study` the page in docs/studies.
    """

    name: str
    study: str
    statement: str
    source: str
    relation: Relation
    expected: ExpectedRange

    @property
    def statistic(self) -> str:
        """What is estimated and where the study says that it lies, in words."""
        return f"{self.relation.describe()}: {self.expected.describe(self.relation.unit)}"


@dataclass(frozen=True)
class ClaimVerdict:
    """What a run says of a claim: against its baseline where it has one, or why it was not tested.

    `update` says that the record is to become its baseline on `device`.
    """

    name: str
    suite: str
    profile: str
    verdict: ClaimVerdictName
    record: ClaimRecord | None = None
    before: ClaimRecord | None = None
    note: str = ""
    device: str = ""
    update: bool = False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ClaimVerdict:
        return cls(
            **{
                **data,
                **{name: data[name] and record_of(data[name]) for name in ("record", "before")},
            }
        )


def judge(
    new: ClaimRecord, before: ClaimRecord | None, device: str = "", *, update: bool = False
) -> ClaimVerdict:
    """The verdict on a claim's fresh record."""

    def conclude(verdict: ClaimVerdictName, note: str = "") -> ClaimVerdict:
        return ClaimVerdict(
            new.name, new.suite, new.profile, verdict, new, before, note, device, update
        )

    if before is None:
        return conclude("new")
    if before.statistic != new.statistic:
        return conclude("new", f"its baseline is of another statistic, {before.statistic}")
    if before.outcome == new.outcome:
        return conclude("held")
    if "undecided" in (before.outcome, new.outcome) and new.estimate.agrees(before.estimate):
        return conclude("noted", "within the noise of both")
    return conclude("changed")
