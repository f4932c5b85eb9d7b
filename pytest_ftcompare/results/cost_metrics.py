"""The cost metrics of a case, each declared once: unit, margin, noise, column. See docs/adding-a-cost-metric.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["kernels", "dispatch"]
KINDS: tuple[Kind, ...] = ("kernels", "dispatch")  # of yardsticks, in the order of a window's times
Phase = Literal["training", "evaluation"]


@dataclass(frozen=True)
class CostMetric:
    """A cost metric that timed windows read.

    `unit` is "s", "B" or "J". `margin` is the least relative change that counts. `between` is the SD of the logarithm
    from one process to another, which all windows of a run share; `within` is that of one window in a process. A time is
    given in yardsticks of its own `kind`. `column` is its title in the terminal's table, "" where it has none, of
    `width` characters. `pooled` is the relative change over a whole session that is worth a word, 0 where cases are not pooled.
    """

    name: str
    unit: str
    margin: float
    between: float
    within: float
    kind: Kind = "kernels"
    column: str = ""
    width: int = 10
    pooled: float = 0.0


# The noise of times is measured with nothing changed (docs/cost.md); that of a GPU's readings is a guess until one was had.
STEP = CostMetric("step", "s", 0.03, 0.007, 0.006, column="step", width=9, pooled=0.02)
EVALUATION = CostMetric(
    "evaluation", "s", 0.03, 0.007, 0.006, column="evaluation", width=11, pooled=0.02
)
# Of one row, which is Python's time: it differs from process to process.
INFERENCE = CostMetric("inference", "s", 0.25, 0.045, 0.027, "dispatch", column="inference")
MERGED_INFERENCE = CostMetric("merged inference", "s", 0.15, 0.02, 0.017, "dispatch")
PHASES: tuple[Phase, ...] = ("training", "evaluation")
ALLOCATED = {
    phase: CostMetric(f"allocated bytes, {phase}", "B", 0.01, 0.0005, 0.0005) for phase in PHASES
}
RESERVED = {
    phase: CostMetric(f"reserved bytes, {phase}", "B", 0.02, 0.002, 0.002) for phase in PHASES
}
PROCESS = {
    phase: CostMetric(f"process bytes, {phase}", "B", 0.02, 0.002, 0.002) for phase in PHASES
}
ENERGY = CostMetric("joules per 1000 examples", "J", 0.05, 0.01, 0.01)

METRICS = {
    metric.name: metric
    for metric in (
        *(STEP, EVALUATION, INFERENCE, MERGED_INFERENCE),
        *(*ALLOCATED.values(), *RESERVED.values(), *PROCESS.values(), ENERGY),
    )
}

# The counted metric that stands for memory where there is no GPU: bytes of one update at their peak.
PEAK = "peak bytes"
PEAK_COLUMN = "peak"
PEAK_WIDTH = 11
# What is a case's peak memory: the first that it has.
MEMORY = (ALLOCATED["training"].name, PEAK)
