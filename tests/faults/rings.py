"""By what a verdict saw a change: the rings of docs/statistics.md, read off its signs, counts and comparisons."""

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
UNSEEN = (
    "undecided",
    "incomparable",
)  # no failure, and no pass: more than one in ten such cases fail a session
PROBE = (
    *("outputs of the probe", "loss at step", "gradient", "first update of"),
    *("predictions of seed 0", "the loss curve", "seed 0's losses"),
)
DRAWN = (
    "starts with a root mean square",
    "loss under dropout",
    "other training rows",
)  # the probe's, too


def seen(verdict: Mapping[str, Any]) -> list[int]:
    """The rings that saw something in a case, the earliest first; none where its verdict does not fail."""
    if verdict["verdict"] not in FAILING:
        return []
    if verdict["verdict"] == "invalid":
        return [0]
    found = set()
    for sign in verdict["divergences"]:
        if not sign.endswith("more tensors alike"):
            found.add(2 if sign.startswith(PROBE) or any(one in sign for one in DRAWN) else 1)
    for cost in verdict["costs"]:
        if cost["outcome"] in ("worse", "changed"):
            found.add(1 if cost["how"] in ("exact", "across versions") else 4)
    if any(one["outcome"] == "worse" for one in verdict["comparisons"]):
        found.add(3)
    return sorted(found)
