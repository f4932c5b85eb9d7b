"""Judge a claim of a study by this run's results and by its last accepted outcome.

A claim has an *outcome*. The 95 % interval of its estimate lies wholly inside the range that the
study expects (`reproduced`), wholly outside (`contradicted`), or across its edge (`undecided`). The
last accepted outcome is the claim's baseline. The gate fails if the outcome changes, not if a study
is wrong about a small model. The plugin's claim fixture calls this module.
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
    """The range in which a study expects the estimate, in its unit; an infinite end is open."""

    low: float = -math.inf
    high: float = math.inf

    def outcome(self, estimate: Estimate) -> ClaimOutcome:
        """Compare the estimate's interval with the range.

        With two finite ends, these are two one-sided tests.
        """
        low, high = estimate.interval()
        if self.low <= low and high <= self.high:
            return "reproduced"
        return "contradicted" if high < self.low or low > self.high else "undecided"

    def describe(self, unit: str) -> str:
        """Return the range in words, such as "at least +2 pt"."""
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
    """Expect an estimate no farther than `margin` from `around`."""
    return ExpectedRange(around - margin, around + margin)


@dataclass(frozen=True)
class Claim:
    """A statement of a study in our words, and the relation that tests it.

    `name` is the test's id, the baseline's file name and the anchor in docs/claims.md. `study` is
    the page in docs/studies. `source` names the paper and the place in it.
    """

    name: str
    study: str
    statement: str
    source: str
    relation: Relation
    expected: ExpectedRange

    @property
    def statistic(self) -> str:
        """The estimated relation and its expected range, in words."""
        return f"{self.relation.describe()}: {self.expected.describe(self.relation.unit)}"


@dataclass(frozen=True)
class ClaimVerdict:
    """The verdict on a claim against its baseline, or why it was not tested.

    With `update`, the record becomes the claim's baseline on `device`.
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
    """Return the verdict on a claim's new record."""

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
