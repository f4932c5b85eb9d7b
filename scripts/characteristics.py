"""Draw the error rates of `scripts/replay.py` and print the tables of docs/statistics.md.

Run `python -m scripts.characteristics docs/replay.json docs/statistics.svg`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Key of the record -> label and colour.
DRAWS = {
    "other stream": ("same rows, other random numbers", "#1b6ca8"),
    "other seeds": ("other rows", "#c8553d"),
}
DASHES = {"1.5": ":", "2.0": "--", "3.0": "-"}

Record = Mapping[str, Any]


def _curve(
    axes: Any, points: Mapping[str, Record], label: str, colour: str, line: str = "-"
) -> None:
    """Draw rates over loss sizes, with their intervals."""
    sizes = [float(size) for size in points]
    axes.plot(
        sizes,
        [point["rate"] for point in points.values()],
        line,
        color=colour,
        label=label,
        marker="o",
        markersize=3,
    )
    low, high = ([point[side] for point in points.values()] for side in ("low", "high"))
    axes.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)


def draw(record: Record, file: Path) -> None:
    """Draw four panels: one case, every case, detections over false alarms, and seeds trained."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {
        "svg.hashsalt": "ftcompare",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    from matplotlib import pyplot

    figure, ((one_case, every_case), (tradeoff, seeds)) = pyplot.subplots(
        2, 2, figsize=(9, 7), layout="constrained"
    )
    for key, (label, colour) in DRAWS.items():
        rates_of = record[key]
        _curve(one_case, rates_of["one case"], label, colour)
        _curve(
            every_case,
            rates_of["every case"],
            f"{label.split(',')[0]}, {rates_of['every case']['0.5']['cases']} cases",
            colour,
        )
        sizes = [float(size) for size in rates_of["one case"]]
        seeds.plot(
            sizes,
            [point["seeds"] for point in rates_of["one case"].values()],
            "o-",
            color=colour,
            markersize=3,
            label=label,
        )
        factors = [float(factor) for factor in rates_of["error rate"]]
        rates = rates_of["error rate"].values()
        for size, dash in DASHES.items():
            hits = [rate["found"][size]["rate"] for rate in rates]
            tradeoff.plot(
                factors,
                hits,
                dash,
                color=colour,
                marker="o",
                markersize=3,
                label=f"{float(size):g} × noise",
            )
        false_alarms = [rate["false"]["rate"] for rate in rates]
        tradeoff.plot(
            factors,
            false_alarms,
            "-",
            color=colour,
            marker="x",
            markersize=4,
            linewidth=0.8,
            label="no loss",
        )
    for axes in (one_case, every_case):
        axes.set_xlim(left=-0.05)
        axes.axhline(0.95, color="#888888", linewidth=0.8, linestyle=":")
        axes.set(ylim=(-0.02, 1.02), ylabel="share found")
        axes.legend(frameon=False, loc="upper left", fontsize=7.5)
    one_case.set(xlabel="loss of one case, in units of its noise", title="One case called worse")
    every_case.set(xlabel="loss of every case, in units of its noise", title="Pooled shift found")
    tradeoff.set(
        xscale="log",
        xlabel="error rate of a test, times the one in use",
        ylabel="share of cases called worse",
    )
    tradeoff.set(title="What a laxer error rate would buy, and cost", ylim=(-0.02, 1.02))
    tradeoff.axvline(1, color="#888888", linewidth=0.8, linestyle=":")
    handles, _ = tradeoff.get_legend_handles_labels()
    tradeoff.legend(
        handles=handles[: len(DASHES) + 1],
        frameon=False,
        fontsize=7.5,
        loc="lower right",
        bbox_to_anchor=(1, 0.05),
    )
    seeds.set(
        xlabel="loss of one case, in units of its noise",
        ylabel="seeds trained",
        title="Seeds that a case takes",
        ylim=(0, 16.5),
    )
    seeds.axhline(16, color="#888888", linewidth=0.8, linestyle=":")
    seeds.legend(frameon=False, loc="lower right")
    figure.savefig(file, metadata={"Date": None})


def _share(rate: Record, digits: int = 1) -> str:
    low, high = (f"{100 * rate[side]:.{digits}f}" for side in ("low", "high"))
    return f"{rate['found']} of {rate['of']} ({100 * rate['rate']:.{digits}f} %, {low} to {high})"


def tables(record: Record) -> Iterator[str]:
    """Yield the tables of sessions without a loss, of losses of one case and of every case."""
    labels = [label for label, _ in DRAWS.values()]
    yield (
        "| sessions in which nothing was lost | cases | failed | with a case worse "
        "| by a pooled shift | seeds a case |"
    )
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, rates in (
        ("the same run again", record["unchanged"]),
        *((DRAWS[key][0], record[key]["benign"]) for key in DRAWS),
    ):
        shares = " | ".join(
            _share(rates[key]) for key in ("failed", "with a case worse", "with a pooled shift")
        )
        yield f"| {name} | {rates['cases']} | {shares} | {rates['seeds of a case']:g} |"
    yield ""
    heads = " | ".join(f"one case, {label}" for label in labels)
    yield f"| loss, in units of the noise | {heads} |"
    yield f"| --- |{' --- |' * len(DRAWS)}"
    for size in record["other seeds"]["one case"]:
        shares = " | ".join(_share(record[key]["one case"][size]) for key in DRAWS)
        yield f"| {float(size):g} | {shares} |"
    yield ""
    heads = " | ".join(f"every case, {label}" for label in labels)
    yield f"| loss, in units of the noise | {heads} | points found |"
    yield f"| --- |{' --- |' * len(DRAWS)} --- |"
    for size in record["other seeds"]["every case"]:
        pooled = [record[key]["every case"][size] for key in DRAWS]
        shares = " | ".join(_share(rate) for rate in pooled)
        yield f"| {float(size):g} | {shares} | {pooled[0]['points']:+.1f} |"


def main(record_file: Path, picture: Path) -> None:
    """Draw the picture and print the tables."""
    record = json.loads(record_file.read_text(encoding="utf-8"))
    draw(record, picture)
    print("\n".join(tables(record)))


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:3]))
