"""Declare each cost metric: unit, margin, noise, column. See docs/adding-a-cost-metric.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["kernels", "dispatch"]
KINDS: tuple[Kind, ...] = ("kernels", "dispatch")  # of yardsticks, in the order of a window's times
Phase = Literal["training", "evaluation"]


@dataclass(frozen=True)
class CostMetric:
    """A cost metric that timed windows read.

    `unit` is "s", "B" or "J". `margin` is the least relative change that counts: raising it lets
    larger changes pass. `between` is the SD of the logarithm between processes, which all windows
    of a process share. `within` is the SD of the logarithm of one window in a process. A time is
    given in yardsticks of `kind`. `column` is the title in the terminal's table, "" for no column,
    and `width` its characters. `pooled` is the least relative change over a whole session that is
    reported, 0 for metrics that are not pooled.
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


# The noise of times was measured with nothing changed (docs/cost.md). The noise of GPU readings is
# a guess: none was measured yet.
STEP = CostMetric("step", "s", 0.03, 0.007, 0.006, column="step", width=9, pooled=0.02)
EVALUATION = CostMetric(
    "evaluation", "s", 0.03, 0.007, 0.006, column="evaluation", width=11, pooled=0.02
)
# Inference of one row mostly takes Python's time, which differs between processes.
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

# The counted metric that stands for memory without a GPU: bytes alive at the peak of one update.
PEAK = "peak bytes"
# All counts of one update, by the names that reports show (measure/counted_update.py).
USES = ("weights", "gradients", "optimizer", "activations", "peak", "saved", "state", "stray")
COUNTS = (*(f"{use} bytes" for use in USES), "operations", "flops")
PEAK_COLUMN = "peak"
PEAK_WIDTH = 11
# A case's peak memory is the first of these metrics that it has.
MEMORY = (ALLOCATED["training"].name, PEAK)
