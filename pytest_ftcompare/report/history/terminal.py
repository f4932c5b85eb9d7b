"""Series of a history on a terminal: a line for each case with its course over runs, and where levels changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from statistics import fmean

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pytest_ftcompare.report.cost import amount
from pytest_ftcompare.report.history.level_changes import LevelChange, changes_of
from pytest_ftcompare.report.history.series import RecordedMetric, RecordedSession, Series

BARS, PLAIN_BARS = "▁▂▃▄▅▆▇█", "_.-=+*#%"  # low to high; for a terminal without Unicode
WIDE = 72  # columns from which cases stand in a table
LISTED = 20  # changes that are listed where several cases are shown
SHARES = ("accuracy", "accuracy_ood", "dino similarity")  # metrics told in percent


def show(console: Console, found: Sequence[Series], runs: Mapping[int, RecordedSession]) -> None:
    """Several cases in one table, or one of them at length."""
    several = len({one.case.device for one in found}) > 1
    names = {
        one.case.number: one.case.path + (f" on {one.case.device}" if several else "")
        for one in found
    }
    changes = sorted(
        (each for one in found for each in changes_of(one, runs)),
        key=lambda each: (-each.run_id, each.beside),
    )
    unexplained = sum(not one.accepted for one in changes)
    counted = f"{_counted(len(found), 'case')}, {_counted(len(changes), 'change')} of level"
    metric = found[0].metric.name
    console.print(
        _text(
            console,
            f"{metric} over runs: {counted}" + (f", {unexplained} not accepted" if changes else ""),
        )
    )
    console.print()
    if len(found) == 1:
        _one(console, found[0], names, runs)
    elif console.width >= WIDE:
        console.print(_table(console, found, names))
    else:
        for one in found:
            console.print(_text(console, names[one.case.number]))
            count = _counted(len(one.values), "run")
            console.print(
                _text(
                    console,
                    f"  {value(one.values[-1], one.metric)}  {_bars(console, one.values, 12)}  {count}",
                )
            )
    listed = changes if len(found) == 1 else changes[:LISTED]
    if listed:
        console.print()
        console.print("Changes of level, the latest first:")
        for _, group in groupby(listed, key=lambda change: (change.run_id, change.beside)):
            for line in _moves(console, list(group), names if len(found) > 1 else {}):
                console.print(line)
    if len(listed) < len(changes):
        console.print(
            f"... and {len(changes) - len(listed)} earlier ones: choose with --case or --method, or see --json"
        )


def value(number: float, metric: RecordedMetric) -> str:
    """ "82.7%", "36.7 ms", "11.12 MiB", "0.3791", "1,204"."""
    if metric.name in SHARES:
        return f"{number:.1%}"
    if metric.unit:
        return amount(number, metric.unit)
    return f"{number:,.0f}" if number == int(number) and abs(number) >= 1 else f"{number:.4g}"


def visible(text: str, encoding: str = "utf-8") -> str:
    """One line in which what cannot be seen, or the terminal cannot show, is written out, as `\\x1b`."""
    seen = "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
    return seen.encode(encoding, "backslashreplace").decode(encoding)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _text(console: Console, text: str, style: str = "") -> Text:
    """Text as it is: no markup in it counts."""
    return Text(visible(text, console.encoding), style, overflow="fold")


def _table(console: Console, found: Sequence[Series], names: Mapping[int, str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("case", overflow="fold")
    table.add_column("last", justify="right", no_wrap=True)
    table.add_column("runs", justify="right", no_wrap=True)
    table.add_column("over runs", no_wrap=True)
    table.add_column("changes", justify="right", no_wrap=True)
    longest = max(map(len, names.values()))
    room = min(60, max(12, console.width - longest - 32))
    for one in found:
        table.add_row(
            _text(console, names[one.case.number]),
            value(one.values[-1], one.metric),
            str(len(one.values)),
            _text(console, _bars(console, one.values, room)),
            str(len(one.changes) or ""),
        )
    return table


def _one(
    console: Console, one: Series, names: Mapping[int, str], runs: Mapping[int, RecordedSession]
) -> None:
    first, last = (
        runs[number].started[:16].replace("T", " ") for number in (one.runs[0], one.runs[-1])
    )
    spread = f" ± {value(one.sds[-1], one.metric)} between seeds" if one.sds[-1] else ""
    low, high = (value(edge(one.values), one.metric) for edge in (min, max))
    console.print(_text(console, names[one.case.number], "bold"))
    console.print(_text(console, _bars(console, one.values, console.width)))
    console.print(
        _text(
            console,
            f"last {value(one.values[-1], one.metric)}{spread}, {one.verdicts[-1] or 'not judged'}",
        )
    )
    console.print(
        _text(
            console,
            f"{_counted(len(one.values), 'run')}, {first} to {last}; lowest {low}, highest {high}",
        )
    )


def _bars(console: Console, values: Sequence[float], room: int) -> str:
    """The course of values in at most `room` characters, each the mean of as many values as must share it."""
    count = min(room, len(values))
    edges = [len(values) * index // count for index in range(count + 1)]
    means = [fmean(values[start:end]) for start, end in pairwise(edges)]
    low, high = min(means), max(means)
    bars = PLAIN_BARS if console.options.ascii_only else BARS
    return "".join(
        bars[min(len(bars) - 1, int(len(bars) * (one - low) / (high - low)))]
        if high > low
        else bars[0]
        for one in means
    )


def _moves(
    console: Console, group: Sequence[LevelChange], names: Mapping[int, str]
) -> Iterator[Text]:
    """The changes of one run: when, at which commit, beside what else, then from what to what in each case."""
    first = group[0]
    yield from _flow(
        console,
        [first.run.started[:16].replace("T", " "), first.run.commit, *first.beside],
        "",
        "bold",
    )
    for change in group:
        before, after = (
            value(level, change.series.metric) for level in (change.before, change.after)
        )
        if before == after:
            before, after = f"{change.before:.9g}", f"{change.after:.9g}"
        mark, style = ("accepted", "") if change.accepted else ("not accepted", "yellow")
        yield from _flow(
            console,
            [names.get(change.series.case.number, ""), f"{before} -> {after}", mark],
            "  ",
            style,
        )


def _flow(console: Console, parts: Sequence[str], indent: str, style: str) -> Iterator[Text]:
    """Parts in lines, as many to a line as fit, further lines indented more."""
    line = ""
    for part in (visible(one, console.encoding) for one in parts if one):
        if line and len(line) + 2 + len(part) > console.width:
            yield Text(line, style, overflow="fold")
            line, indent = "", indent + "  "
        line = f"{line}  {part}" if line else indent + part
    yield Text(line, style, overflow="fold")
