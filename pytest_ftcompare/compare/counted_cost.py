"""Compare the counts of one update with the baseline's: bytes, operations and FLOPs.

Counts repeat exactly with the same libraries and processor, even on a busy machine, so any
difference is a finding. The gate and `compare_results.py` call it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_ftcompare.compare.environment_diff import Difference
from pytest_ftcompare.compare.measured_cost import CostComparison, CostOutcome
from pytest_ftcompare.results.result import Result

# Relative change of a count that matters with other libraries or another processor. Chosen.
# Raising it hides larger increases after an upgrade.
ACROSS_VERSIONS_MARGIN = 0.01
# Environment entries that may change which operations an update executes.
EXECUTION_ENTRIES = frozenset(
    {"torch", "transformers", "peft", "bitsandbytes", "accelerate", "instruction set", "cpu"}
)
# Parts of the peak. They explain a change of the peak and are not judged across versions.
PEAK_PARTS = frozenset({"weights bytes", "gradients bytes", "optimizer bytes", "activations bytes"})


def compare_counts(
    baseline: Result, candidate: Result, changes: Sequence[Difference]
) -> list[CostComparison]:
    """Compare the counts of one update, sorted by name.

    They must be equal with the baseline's libraries and processor, else within
    `ACROSS_VERSIONS_MARGIN`.
    """
    before, after = (
        baseline.signature.get("execution", {}),
        candidate.signature.get("execution", {}),
    )
    exact = not EXECUTION_ENTRIES & {change.name for change in changes}
    comparisons = []
    for name in before.keys() & after.keys():
        base, new = before[name], after[name]
        change = new / base - 1 if base else math.inf if new else 0.0
        outcome: CostOutcome = "equivalent"
        if change > ACROSS_VERSIONS_MARGIN and name not in PEAK_PARTS:
            outcome = "worse"
        elif new != base and exact:
            outcome = "changed"
        elif change < -ACROSS_VERSIONS_MARGIN and name not in PEAK_PARTS:
            outcome = "better"
        if name == "operations" and not exact and outcome != "equivalent":
            # Another version may split the same work into more operations: shown, not judged.
            outcome = "open"
        unit = "B" if name.endswith("bytes") else ""
        comparisons.append(
            CostComparison(
                name, unit, base, new, change, "exact" if exact else "across versions", outcome
            )
        )
    return sorted(comparisons, key=lambda comparison: comparison.metric)
