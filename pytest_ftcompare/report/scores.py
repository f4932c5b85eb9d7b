"""Scores as the generated pages write them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from pytest_ftcompare.compare.statistics import sd


def mean_and_sd(scores: Sequence[float]) -> str:
    """Shares as their mean in per cent and their SD in points: "91.2% ± 0.4"."""
    return f"{fmean(scores):.1%} ± {100 * sd(scores):.1f}"
