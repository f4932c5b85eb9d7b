"""The counts of one update against the baseline's: live and saved bytes, operations, FLOPs.

They are the same on every run of the same libraries, so there any difference is a finding, on the busiest machine too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_ftcompare.compare.environment_diff import Difference
from pytest_ftcompare.compare.measured_cost import CostComparison, CostOutcome
from pytest_ftcompare.results.result import Result

ACROSS = 0.01  # margin where libraries or the processor are others
# Libraries and machines whose change may change the count of what is executed.
EXECUTION = frozenset(
    {"torch", "transformers", "peft", "bitsandbytes", "accelerate", "instruction set", "cpu"}
)

PARTS = frozenset(
    {"weights bytes", "gradients bytes", "optimizer bytes", "activations bytes"}
)  # of the peak: they explain it


def compare_counts(
    baseline: Result, candidate: Result, changes: Sequence[Difference]
) -> list[CostComparison]:
    """The counts of one update: exact where libraries and processor are the baseline's, else within `ACROSS`."""
    before, after = (
        baseline.signature.get("execution", {}),
        candidate.signature.get("execution", {}),
    )
    exact = not EXECUTION & {one.name for one in changes}
    found = []
    for name in before.keys() & after.keys():
        base, new = before[name], after[name]
        change = new / base - 1 if base else math.inf if new else 0.0
        outcome: CostOutcome = "equivalent"
        if change > ACROSS and name not in PARTS:
            outcome = "worse"
        elif new != base and exact:
            outcome = "changed"
        elif change < -ACROSS and name not in PARTS:
            outcome = "better"
        if name == "operations" and not exact and outcome != "equivalent":
            outcome = "open"  # another version may do the same in more operations: told, not judged
        unit = "B" if name.endswith("bytes") else ""
        found.append(
            CostComparison(
                name, unit, base, new, change, "exact" if exact else "across versions", outcome
            )
        )
    return sorted(found, key=lambda one: one.metric)
