"""The figures of a case that the history keeps: one for each metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean, stdev
from typing import Any

Json = Mapping[str, Any]


def points(case: Json) -> Iterator[tuple[str, str, float, float | None]]:
    """Name, unit, value and SD between seeds of each score and cost of a case.

    A score is what the *baseline's* seeds would have given: their mean, moved by the mean difference of the seeds that ran in
    both. A case that did not change runs fewer seeds than its baseline has; the plain mean of each would differ. Scores of
    kinds of rows ("accuracy/passive") stay in reports: they are most of all figures. What an audit refused has no points.
    """
    if case["verdict"] == "invalid":
        return
    held = case["baseline"] if case["verdict"] != "incomparable" else None
    before = _by_metric(held["seed_results"] if held else [])
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
        if cost["new"] or (
            cost["new"] == 0 and cost["outcome"] != "incomparable"
        ):  # 0 there says that nothing was read
            yield cost["metric"], cost["unit"], _rounded(cost["new"]), None


def _by_metric(samples: list[Json]) -> dict[str, dict[int, float]]:
    """Metric -> seed -> value, of those that have one and are of all rows."""
    found: dict[str, dict[int, float]] = {}
    for sample in samples:
        for name, value in sample["metrics"].items():
            if value is not None and "/" not in name:
                found.setdefault(name, {})[sample["seed"]] = value
    return found


def _rounded(value: float) -> float:
    """To nine digits: a sum in another order is no change."""
    return float(f"{value:.9g}")
