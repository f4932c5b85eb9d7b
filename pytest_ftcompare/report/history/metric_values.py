"""Compute the values of a case that `writer.py` stores: one for each metric."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from statistics import fmean, stdev
from typing import Any

Json = Mapping[str, Any]


def points(case: Json) -> Iterator[tuple[str, str, float, float | None]]:
    """Yield name, unit, value and SD between seeds of each score and cost of a case.

    A score is the baseline's mean plus the mean difference of the seeds that ran in both. The plain
    mean would move if fewer seeds ran, although nothing changed. Without a baseline it is the plain
    mean. Scores of groups ("accuracy/passive") are left out, because they outnumber all others. An
    invalid case has no points.
    """
    if case["verdict"] == "invalid":
        return
    baseline = case["baseline"] if case["verdict"] != "incomparable" else None
    before = _by_metric(baseline["seed_results"] if baseline else [])
    for name, new in _by_metric(case["seed_results"]).items():
        base = before.get(name, {})
        both = base.keys() & new.keys()
        value = (
            fmean(base.values()) + fmean(new[seed] - base[seed] for seed in both)
            if both
            else fmean(new.values())
        )
        yield name, "", _rounded(value), stdev(new.values()) if len(new) > 1 else None
    for cost in case["costs"]:
        # In an incomparable cost of an imported report of before 2026-11-30, 0 means that nothing
        # was read.
        new = cost["new"]
        if new is None or not math.isfinite(new):
            continue
        if new or cost["outcome"] != "incomparable":
            yield cost["metric"], cost["unit"], _rounded(cost["new"]), None


def _by_metric(seed_results: list[Json]) -> dict[str, dict[int, float]]:
    """Return metric -> seed -> value, without missing values and scores of groups."""
    by_metric: dict[str, dict[int, float]] = {}
    for seed_result in seed_results:
        for name, value in seed_result["metrics"].items():
            # JSON as Python writes it may have NaN and Infinity, in PEFT's own files, too.
            if value is not None and math.isfinite(value) and "/" not in name:
                by_metric.setdefault(name, {})[seed_result["seed"]] = value
    return by_metric


def _rounded(value: float) -> float:
    """Round to nine digits, so that another order of a sum is no change."""
    return float(f"{value:.9g}")
