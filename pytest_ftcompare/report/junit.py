"""What a case's test says in JUnit's XML: properties with names that stay, values as plain numbers."""

from __future__ import annotations

from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.report.outcome import shown
from pytest_ftcompare.results.result import rounded


def properties(verdict: CaseVerdict) -> list[tuple[str, str]]:
    """The properties of a case's test, by name.

    `verdict`, `seeds`, `began` (the level at which it left its baseline, "" where it did not), `identical` (1, only where it
    repeated bit for bit: its deltas are 0 and it has no p); for each metric its mean by its
    own name (accuracy and accuracy_ood as shares, losses in nats), and against a baseline `<metric> baseline`, `<metric> delta`
    and its one-sided `<metric> p`; for each cost its value by its own name (times in seconds), and against a baseline
    `<cost> change`, relative, with `<cost> outcome`.
    """
    found: list[tuple[str, object]] = [
        ("verdict", verdict.verdict),
        ("seeds", verdict.seeds),
        ("first_divergence", verdict.first_divergence),
    ]
    found += [("identical", 1)] if verdict.identical else []
    found += [
        (name, score) for name, score in verdict.scores.items() if "/" not in name
    ]  # not those of parts of a test
    for one in shown(verdict):
        found += [(f"{one.metric} baseline", one.base), (f"{one.metric} delta", one.delta)]
        found += [] if verdict.identical else [(f"{one.metric} p", one.p)]
    for cost in verdict.costs:
        found.append((cost.metric, cost.new))
        if cost.outcome not in ("new", "incomparable"):
            found += [
                (f"{cost.metric} change", cost.change),
                (f"{cost.metric} outcome", cost.outcome),
            ]
    return [(name, _text(value)) for name, value in found]


def _text(value: object) -> str:
    """Counts in full, what was measured to as many digits as results keep."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value.is_integer() else str(rounded(value))
