"""Find which rings of docs/statistics.md saw a change, from a verdict.

A verdict shows it in its divergences, counts and comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RINGS = {
    0: "invariants and audits",
    1: "signature and counts",
    2: "probe and trace",
    3: "outcomes",
    4: "cost",
}
FAILING = ("worse", "changed", "invalid", "new")
# Neither failure nor pass; a session fails if more than one in ten of its cases are like this.
UNSETTLED = ("undecided", "incomparable")
PROBE_PREFIXES = (
    *("outputs of the probe", "loss at step", "gradient", "first update of"),
    *("predictions of seed 0", "the loss curve", "seed 0's losses"),
)
# Texts inside other divergences of the probe.
PROBE_PARTS = ("starts with a root mean square", "loss under dropout", "other training rows")


def rings_of(verdict: Mapping[str, Any]) -> list[int]:
    """Return the rings that saw a change in a case, the earliest first; none if it passes."""
    if verdict["verdict"] not in FAILING:
        return []
    if verdict["verdict"] == "invalid":
        return [0]
    rings = set()
    for text in verdict["divergences"]:
        if not text.endswith("more tensors alike"):
            rings.add(
                2
                if text.startswith(PROBE_PREFIXES) or any(part in text for part in PROBE_PARTS)
                else 1
            )
    for cost in verdict["costs"]:
        if cost["outcome"] in ("worse", "changed"):
            rings.add(1 if cost["how"] in ("exact", "across versions") else 4)
    if any(comparison["outcome"] == "worse" for comparison in verdict["comparisons"]):
        rings.add(3)
    return sorted(rings)
