"""Define an estimate with its standard error and its confidence interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Probability of the two-sided interval; chosen. Raising it widens the intervals.
CONFIDENCE = 0.95
# Joint standard errors within which two estimates agree; chosen: one in 16,000 exceeds them by
# chance, and a session has dozens of claims. Raising it lets larger differences pass.
AGREEMENT_SE = 4.0


@dataclass(frozen=True)
class Estimate:
    """A `value` in `unit` with its standard `error`, over `n` seeds or rounds.

    `error` is 0.0 for counts, and None if fewer than two runs leave the noise unknown. `freedom` is
    the degrees of freedom of the t distribution, 0 for the normal distribution.
    """

    value: float
    error: float | None
    n: int
    unit: str
    freedom: float = 0.0

    def interval(self) -> tuple[float, float]:
        """Return the two-sided interval in `unit`; infinite if the noise is unknown."""
        if self.error is None:
            return -math.inf, math.inf
        # Importing scipy takes a second, which would slow down collection.
        from scipy import special

        tail = (1 + CONFIDENCE) / 2
        half = self.error * float(
            special.stdtrit(self.freedom, tail) if self.freedom else special.ndtri(tail)
        )
        return self.value - half, self.value + half

    def agrees(self, other: Estimate) -> bool:
        """Return whether the two differ by at most `AGREEMENT_SE` joint standard errors."""
        if self.error is None or other.error is None:
            return True
        return abs(self.value - other.value) <= AGREEMENT_SE * math.hypot(self.error, other.error)

    def __str__(self) -> str:
        digits = ".1f" if self.unit == "pt" else ".3g"
        sign = "+" if self.unit == "pt" else ""
        noise = "" if not self.error else f" ± {self.error:{digits}}"
        return f"{self.value:{sign}{digits}} {self.unit}{noise}"
