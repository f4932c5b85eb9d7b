"""Judge a session: what fails it besides the cases that fail by themselves.

The gate and `compare_results.py` call it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from pytest_ftcompare.compare.pooled_shift import PooledShift, pool_shifts
from pytest_ftcompare.compare.verdict import CaseVerdict, VerdictName

UNJUDGED_VERDICTS: frozenset[VerdictName] = frozenset({"undecided", "incomparable"})
# Share of judged cases that may stay undecided or incomparable. Chosen. Raising it passes a session
# that compares less.
MAX_UNJUDGED_SHARE = 0.10
# Part of the finding on them.
UNJUDGED_FINDING = "could not be compared"


def is_unjudged(verdict: str, outcomes: Iterable[str], *, allowed: bool) -> bool:
    """Check whether a case has no answer, or lets only an accepted score decide it.

    `outcomes` are those of its scores.
    """
    return verdict in UNJUDGED_VERDICTS or (allowed and "open" in outcomes)


@dataclass(frozen=True)
class SessionVerdict:
    """The verdicts of a session's cases, with their pooled shifts."""

    verdicts: Sequence[CaseVerdict]

    @cached_property
    def shifts(self) -> list[PooledShift]:
        """The pooled shifts, each without the cases whose allowance covers its metric."""
        return pool_shifts(self.verdicts, leave_out_allowed=True)

    @property
    def failing(self) -> list[CaseVerdict]:
        """The cases that fail by themselves."""
        return [verdict for verdict in self.verdicts if verdict.fails]

    @property
    def _judged(self) -> list[CaseVerdict]:
        """The cases whose scores are judged."""
        return [verdict for verdict in self.verdicts if verdict.judge_accuracy]

    @property
    def excess_unjudged(self) -> list[CaseVerdict]:
        """The judged cases without an answer if they are too many, else none."""
        unjudged = [
            verdict
            for verdict in self._judged
            if is_unjudged(
                verdict.verdict,
                [comparison.outcome for comparison in verdict.comparisons],
                allowed=verdict.allowed,
            )
        ]
        return unjudged if len(unjudged) > MAX_UNJUDGED_SHARE * len(self._judged) else []

    @property
    def findings(self) -> list[str]:
        """Sentences about what fails the session as a whole."""
        sentences = [shift.sentence for shift in self.shifts if shift.outcome == "worse"]
        if self.excess_unjudged:
            sentences.append(
                f"{len(self.excess_unjudged)} of {len(self._judged)} cases {UNJUDGED_FINDING}: "
                "too many to pass"
            )
        return sentences

    @property
    def failed(self) -> bool:
        return bool(self.failing or self.findings)
