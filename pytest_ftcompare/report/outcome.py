"""How a case's accuracy compares with its baseline's, in words.

Every renderer asks here, so that a case that repeated bit for bit is `identical` in all of them, whatever an estimate from
one of its seeds would say.
"""

from __future__ import annotations

from dataclasses import replace

from pytest_ftcompare.compare.sequential_test import ScoreComparison
from pytest_ftcompare.compare.verdict import SHORT, CaseVerdict

NAMES = {"accuracy": "accuracy", "accuracy_ood": "accuracy out of domain"}
UNKNOWN = "?"  # for a number that there is none of


def number(value: float | None, form: str, scale: float = 1.0) -> str:
    """The number in a format, or a sign that there is none."""
    return UNKNOWN if value is None else format(scale * value, form)


def trained(verdict: CaseVerdict) -> str:
    """How much a case was trained: "3 seeds", or "short"."""
    if SHORT in verdict.notes:
        return "short"
    return f"{verdict.seeds} seed{'s' * (verdict.seeds != 1)}"


def shown(verdict: CaseVerdict) -> list[ScoreComparison]:
    """The comparisons as reports give them: those of an identical case have no shift and no error."""
    if not verdict.identical:
        return verdict.comparisons
    return [replace(one, new=one.base, delta=0.0, error=0.0, p=0.5) for one in verdict.comparisons]


def sentence(one: ScoreComparison, *, identical: bool, noise: bool = False) -> str:
    """ "accuracy 91.2% -> 88.9%: -2.3 pt ± 0.6 (p=0.002, 6 seeds)", with the standard error and, if asked, the noise.

    Read from a document, a comparison may lack numbers (None).
    """
    name, base = NAMES[one.metric], number(one.base, ".1%")
    seeds = f"{one.seeds:,} seed{'s' * (one.seeds != 1)}" if one.seeds else "short training"
    if identical:
        return f"{name} {base}: identical ({seeds})"
    shift, error = number(one.delta, "+.1f", 100), number(one.error, ".1f", 100)
    beside = f"noise {number(one.noise, '.1f', 100)} pt, " if noise else ""
    return f"{name} {base} -> {number(one.new, '.1%')}: {shift} pt ± {error} ({beside}p={number(one.p, '.2g')}, {seeds})"
