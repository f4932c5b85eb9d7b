"""An estimate with its noise, and the interval in which it lies."""

from __future__ import annotations

import math
from dataclasses import dataclass

CONFIDENCE = 0.95  # of the two-sided interval
NOISE = 4.0  # joint standard errors within which two estimates agree: one in 16,000 does not by chance, and a run has dozens


@dataclass(frozen=True)
class Estimate:
    """What the evidence says: `value` in `unit` with its standard `error`, over `n` seeds or rounds.

    `error` is 0.0 for what is counted, and None where fewer than two runs say nothing of the noise; `freedom` are the degrees
    of freedom of the t distribution, 0 for a normal one.
    """

    value: float
    error: float | None
    n: int
    unit: str
    freedom: float = 0.0

    def interval(self) -> tuple[float, float]:
        """The two-sided interval of `CONFIDENCE`, in the estimate's unit; everything where the noise is not known."""
        if self.error is None:
            return -math.inf, math.inf
        from scipy import special  # a second to import: not while cases are collected

        tail = (1 + CONFIDENCE) / 2
        half = self.error * float(
            special.stdtrit(self.freedom, tail) if self.freedom else special.ndtri(tail)
        )
        return self.value - half, self.value + half

    def agrees(self, other: Estimate) -> bool:
        """Whether the two differ by no more than their joint noise."""
        if self.error is None or other.error is None:
            return True
        return abs(self.value - other.value) <= NOISE * math.hypot(self.error, other.error)

    def __str__(self) -> str:
        digits = ".1f" if self.unit == "pt" else ".3g"
        sign = "+" if self.unit == "pt" else ""
        noise = "" if not self.error else f" ± {self.error:{digits}}"
        return f"{self.value:{sign}{digits}} {self.unit}{noise}"
