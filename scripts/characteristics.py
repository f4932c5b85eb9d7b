"""The operating characteristics that `scripts/replay.py` recorded, as a picture and as the tables of docs/statistics.md.

`python -m scripts.characteristics docs/replay.json docs/statistics.svg` draws, and prints the tables.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

WAYS = {
    "other stream": ("same rows, other random numbers", "#1b6ca8"),
    "other seeds": ("other rows", "#c8553d"),
}
DASHES = {"1.5": ":", "2.0": "--", "3.0": "-"}

Record = Mapping[str, Any]


def _curve(
    axes: Any, points: Mapping[str, Record], label: str, colour: str, line: str = "-"
) -> None:
    """Rates over the sizes of a loss, with their intervals."""
    sizes = [float(one) for one in points]
    axes.plot(
        sizes,
        [one["rate"] for one in points.values()],
        line,
        color=colour,
        label=label,
        marker="o",
        markersize=3,
    )
    low, high = ([one[side] for one in points.values()] for side in ("low", "high"))
    axes.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)


def draw(record: Record, file: Path) -> None:
    """Four panels: one case, every case, the exchange of false alarms for findings, and seeds trained."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {
        "svg.hashsalt": "ftcompare",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    from matplotlib import pyplot

    figure, ((one, every), (exchange, seeds)) = pyplot.subplots(
        2, 2, figsize=(9, 7), layout="constrained"
    )
    for way, (label, colour) in WAYS.items():
        found = record[way]
        _curve(one, found["one case"], label, colour)
        _curve(
            every,
            found["every case"],
            f"{label.split(',')[0]}, {found['every case']['0.5']['cases']} cases",
            colour,
        )
        sizes = [float(size) for size in found["one case"]]
        seeds.plot(
            sizes,
            [at["seeds"] for at in found["one case"].values()],
            "o-",
            color=colour,
            markersize=3,
            label=label,
        )
        factors, rates = [float(one) for one in found["error rate"]], found["error rate"].values()
        for size, dash in DASHES.items():
            hits = [at["found"][size]["rate"] for at in rates]
            exchange.plot(
                factors,
                hits,
                dash,
                color=colour,
                marker="o",
                markersize=3,
                label=f"{float(size):g} × noise",
            )
        false = [at["false"]["rate"] for at in rates]
        exchange.plot(
            factors,
            false,
            "-",
            color=colour,
            marker="x",
            markersize=4,
            linewidth=0.8,
            label="no loss",
        )
    for axes in (one, every):
        axes.set_xlim(left=-0.05)
        axes.axhline(0.95, color="#888888", linewidth=0.8, linestyle=":")
        axes.set(ylim=(-0.02, 1.02), ylabel="share found")
        axes.legend(frameon=False, loc="upper left", fontsize=7.5)
    one.set(xlabel="loss of one case, in units of its noise", title="One case called worse")
    every.set(xlabel="loss of every case, in units of its noise", title="Pooled shift found")
    exchange.set(
        xscale="log",
        xlabel="error rate of a test, times the one in use",
        ylabel="share of cases called worse",
    )
    exchange.set(title="What a laxer error rate would buy, and cost", ylim=(-0.02, 1.02))
    exchange.axvline(1, color="#888888", linewidth=0.8, linestyle=":")
    handles, _ = exchange.get_legend_handles_labels()
    exchange.legend(
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


def _share(found: Record, digits: int = 1) -> str:
    low, high = (f"{100 * found[side]:.{digits}f}" for side in ("low", "high"))
    return (
        f"{found['found']} of {found['of']} ({100 * found['rate']:.{digits}f} %, {low} to {high})"
    )


def tables(record: Record) -> Iterator[str]:
    """Sessions in which nothing was lost; losses of one case and of every case."""
    yield "| sessions in which nothing was lost | cases | failed | with a case worse | by a pooled shift | seeds a case |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, found in (
        ("the same run again", record["unchanged"]),
        *((WAYS[way][0], record[way]["benign"]) for way in WAYS),
    ):
        shares = " | ".join(
            _share(found[key]) for key in ("failed", "with a case worse", "with a pooled shift")
        )
        yield f"| {name} | {found['cases']} | {shares} | {found['seeds of a case']:g} |"
    yield ""
    yield f"| loss, in units of the noise | {' | '.join(f'one case, {WAYS[way][0]}' for way in WAYS)} |"
    yield f"| --- |{' --- |' * len(WAYS)}"
    for size in record["other seeds"]["one case"]:
        yield f"| {float(size):g} | {' | '.join(_share(record[way]['one case'][size]) for way in WAYS)} |"
    yield ""
    yield f"| loss, in units of the noise | {' | '.join(f'every case, {WAYS[way][0]}' for way in WAYS)} | points found |"
    yield f"| --- |{' --- |' * len(WAYS)} --- |"
    for size in record["other seeds"]["every case"]:
        found = [record[way]["every case"][size] for way in WAYS]
        yield f"| {float(size):g} | {' | '.join(_share(one) for one in found)} | {found[0]['points']:+.1f} |"


def main(record: Path, picture: Path) -> None:
    """Draw the picture and print the tables."""
    found = json.loads(record.read_text(encoding="utf-8"))
    draw(found, picture)
    print("\n".join(tables(found)))


if __name__ == "__main__":
    main(*(Path(one) for one in sys.argv[1:3]))
