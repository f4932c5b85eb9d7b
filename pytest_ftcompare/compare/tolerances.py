"""Say how far a deterministic computation may move with other kernels, by precision.

`divergence.py` compares probes and traces with these. Both rows are at least three times the
largest difference that other instruction sets and thread counts of a CPU made in any method
(scripts/precision.py, docs/statistics.md). A GPU's kernels are not measured yet: `make gpu` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_ftcompare.results.result import Result


@dataclass(frozen=True)
class Tolerances:
    """Relative tolerances. Raising one hides larger changes of the computation.

    - `loss`: of the probe's loss, and of its outputs relative to the largest.
    - `gradient`: of gradient norms relative to the global norm, because a tensor's own norm may be
      nearly zero.
    - `update`: of first updates where the gradient is above `gradient`, because Adam turns the
      rounding noise of a smaller gradient into a full step.
    - `trace`: of the first steps' losses and gradient norms, with dropout on.
    """

    loss: float
    gradient: float
    update: float
    trace: float


FLOAT32 = Tolerances(loss=1e-4, gradient=1e-3, update=1e-2, trace=2e-3)
# A number of bfloat16 has 8 significant bits, so that one rounding moves it by up to 0.4 %.
BFLOAT16 = Tolerances(loss=0.025, gradient=0.03, update=0.01, trace=0.2)
BY_PRECISION = {"float32": FLOAT32, "bfloat16": BFLOAT16}


def tolerances_of(result: Result) -> Tolerances:
    """Return the tolerances of the precision in which a result was computed."""
    return BY_PRECISION[str(result.environment.get("precision", "float32"))]
