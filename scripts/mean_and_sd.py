"""Format scores for the generated pages."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_ftcompare.compare.noise import sd


def mean_and_sd(scores: Sequence[float]) -> str:
    """Return the mean of shares in per cent and their SD in points: "91.2% ± 0.4"."""
    return f"{sum(scores) / len(scores):.1%} ± {100 * sd(scores):.1f}"
