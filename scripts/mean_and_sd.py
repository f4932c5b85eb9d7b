"""Format scores for the generated pages."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from pytest_ftcompare.compare.noise import sd


def mean_and_sd(scores: Sequence[float]) -> str:
    """Return the mean of shares in per cent and their SD in points: "91.2% ± 0.4"."""
    return f"{fmean(scores):.1%} ± {100 * sd(scores):.1f}"
