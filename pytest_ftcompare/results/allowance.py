"""Define an allowance: a known regression that a project accepts for a while.

`gate/accept_file.py` reads allowances, `compare/allowances.py` applies them to verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Literal

# How an allowance met one case:
# - "covers": what it names moved, within its limit;
# - "exceeded": it moved further;
# - "expired": it moved, and the last day of the allowance is over;
# - "idle": it did not move;
# - "open": this run did not settle whether it moved.
AllowanceState = Literal["covers", "exceeded", "expired", "idle", "open"]


def matches(text: str, pattern: str) -> bool:
    """Check a name or sentence against a pattern of `fnmatch`, which may also be the text itself.

    A sentence may have brackets, which `fnmatch` reads as a choice of characters.
    """
    return text == pattern or fnmatchcase(text, pattern)


@dataclass(frozen=True)
class Allowance:
    """An entry of the accept file: what may move in which cases, how far, and until when.

    `case` is an id or a pattern, `suite` too, "*" for any. `what` is the name of a score, of a cost
    or of a divergence's level. `at_most` is the share that a score may lose, the relative change of
    a cost, or the sentence of a divergence. `expires` is the last day, in ISO 8601.
    """

    case: str
    suite: str
    what: str
    at_most: float | str
    owner: str
    reason: str
    link: str
    expires: str

    def names(self, suite: str, case: str) -> bool:
        """Check whether a case is meant."""
        return matches(suite, self.suite) and matches(case, self.case)

    def is_valid_on(self, day: date) -> bool:
        """Check whether a day is not after the last one."""
        return day <= date.fromisoformat(self.expires)

    def permits(self, size: float | str) -> bool:
        """Check whether a change is within the limit; one that is not a number is not."""
        if isinstance(size, str) or isinstance(self.at_most, str):
            return matches(str(size), str(self.at_most))
        return size <= self.at_most


@dataclass(frozen=True)
class CaseAllowance(Allowance):
    """An allowance beside a case that it names.

    `size` is how far what it names moved, in the unit of `at_most`; None where it did not. `valid`
    is false after its last day.
    """

    state: AllowanceState = "open"
    size: float | str | None = None
    valid: bool = True
