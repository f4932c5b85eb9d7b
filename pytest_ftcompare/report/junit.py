"""Properties of a case's test in JUnit's XML: stable names, values as plain numbers.

`plugin/gate_fixture.py` records them.
"""

from __future__ import annotations

import math

from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.report.wording import shown_comparisons
from pytest_ftcompare.results.result import rounded


def properties(verdict: CaseVerdict) -> list[tuple[str, str]]:
    """Return the properties of a case's test as (name, value).

    - `verdict`, `seeds`, `first_divergence` ("" where the case did not leave its baseline), and
      `identical` (1, only where it did not differ in a bit: its deltas are 0 and it has no p);
    - each metric by its own name (accuracies as shares, losses in nats); against a baseline
      `<metric> baseline`, `<metric> delta` and its one-sided `<metric> p`;
    - each cost by its own name (times in seconds); against a baseline `<cost> change`, relative,
      and `<cost> outcome`;
    - by an allowance, `<what> allowance`, its state, and `accepted until`, the first day that ends
      one, only where the case passes by it.
    """
    values: list[tuple[str, object]] = [
        ("verdict", verdict.verdict),
        ("seeds", verdict.seeds),
        ("first_divergence", verdict.first_divergence),
    ]
    values += [("identical", 1)] if verdict.identical else []
    # A name with a slash is the score of a part of the test rows.
    values += [(name, score) for name, score in verdict.scores.items() if "/" not in name]
    for comparison in shown_comparisons(verdict):
        metric = comparison.metric
        values += [(f"{metric} baseline", comparison.base), (f"{metric} delta", comparison.delta)]
        values += [] if verdict.identical else [(f"{metric} p", comparison.p)]
    for cost in verdict.costs:
        values += [] if math.isnan(cost.new) else [(cost.metric, cost.new)]
        if cost.outcome not in ("new", "incomparable"):
            values.append((f"{cost.metric} change", cost.change))
            values.append((f"{cost.metric} outcome", cost.outcome))
    values += [(f"{allowance.what} allowance", allowance.state) for allowance in verdict.allowances]
    if verdict.allowed:
        covering = [entry for entry in verdict.allowances if entry.state == "covers"]
        values.append(("accepted until", min(allowance.expires for allowance in covering)))
    return [(name, _text(value)) for name, value in values]


def _text(value: object) -> str:
    """Write counts in full and other numbers with as many digits as results keep."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value.is_integer() else str(rounded(value))
