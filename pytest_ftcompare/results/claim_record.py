"""Define a claim's accepted outcome, and read and write its baseline's JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from pytest_ftcompare.results.estimate import Estimate
from pytest_ftcompare.results.result import ResultError, fields_of, pretty

SCHEMA = 1

ClaimOutcome = Literal["reproduced", "contradicted", "undecided"]
OUTCOMES: tuple[ClaimOutcome, ...] = ("reproduced", "contradicted", "undecided")


@dataclass(frozen=True)
class ClaimRecord:
    """A claim's accepted outcome, as its baseline stores it; `cases` has its cases' ids."""

    name: str
    suite: str
    profile: str
    study: str
    statement: str
    source: str
    statistic: str
    outcome: ClaimOutcome
    estimate: Estimate
    cases: list[str]
    environment: dict[str, Any]


def record_of(data: dict[str, Any]) -> ClaimRecord:
    """Make a record from its `asdict`. Other fields raise TypeError or KeyError."""
    return ClaimRecord(**{**data, "estimate": Estimate(**data["estimate"])})


def to_json(record: ClaimRecord) -> str:
    """Return the text of a claim's baseline file."""
    return f"{pretty({'schema': SCHEMA} | asdict(record))}\n"


def from_json(text: str) -> ClaimRecord:
    """Read a claim's baseline; other text raises `ResultError` with one sentence."""
    try:
        return record_of(fields_of(text, SCHEMA))
    except (KeyError, TypeError) as error:
        raise ResultError(f"its fields are not those of a claim ({error})") from None
