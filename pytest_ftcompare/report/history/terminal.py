"""Print series of a history, and their changes of level. `cli.py` calls `show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from statistics import fmean

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pytest_ftcompare.report.history.level_changes import LevelChange, changes_of
from pytest_ftcompare.report.history.series import RecordedMetric, RecordedSession, Series
from pytest_ftcompare.report.wording import amount

# From low to high; the second are for terminals without Unicode.
BARS, PLAIN_BARS = "▁▂▃▄▅▆▇█", "_.-=+*#%"
# Columns from which cases stand in a table (chosen). Raising it prints more terminals as lines.
TABLE_MIN_WIDTH = 72
# Changes that are listed for several cases (chosen). Raising it makes the list longer.
MAX_LISTED = 20
# Metrics that are shares and shown in per cent.
PERCENT_METRICS = ("accuracy", "accuracy_ood", "dino similarity")


def show(console: Console, lines: Sequence[Series], runs: Mapping[int, RecordedSession]) -> None:
    """Print several cases as a table, or one case in detail."""
    several_devices = len({line.case.device for line in lines}) > 1
    names = {
        line.case.case_id: line.case.path + (f" on {line.case.device}" if several_devices else "")
        for line in lines
    }
    changes = sorted(
        (change for line in lines for change in changes_of(line, runs)),
        key=lambda change: (-change.run_id, change.environment_changes),
    )
    unaccepted = sum(not change.accepted for change in changes)
    heading = f"{lines[0].metric.name} over runs: {_counted(len(lines), 'case')}, "
    heading += f"{_counted(len(changes), 'change')} of level"
    if changes:
        heading += f", {unaccepted} not accepted"
    console.print(_text(console, heading))
    console.print()
    if len(lines) == 1:
        _show_case(console, lines[0], names, runs)
    elif console.width >= TABLE_MIN_WIDTH:
        console.print(_table(console, lines, names))
    else:
        for line in lines:
            console.print(_text(console, names[line.case.case_id]))
            last = format_value(line.values[-1], line.metric)
            count = _counted(len(line.values), "run")
            console.print(_text(console, f"  {last}  {_bars(console, line.values, 12)}  {count}"))
    listed = changes if len(lines) == 1 else changes[:MAX_LISTED]
    if listed:
        console.print()
        console.print("Changes of level, the latest first:")
        for _, group in groupby(
            listed, key=lambda change: (change.run_id, change.environment_changes)
        ):
            for text in _change_lines(console, list(group), names if len(lines) > 1 else {}):
                console.print(text)
    if len(listed) < len(changes):
        console.print(
            f"... and {len(changes) - len(listed)} earlier changes: "
            "choose with --case or --method, or see --json"
        )


def format_value(number: float, metric: RecordedMetric) -> str:
    """Format a value with its unit: "82.7%", "36.7 ms", "11.12 MiB", "0.3791", "1,204"."""
    if metric.name in PERCENT_METRICS:
        return f"{number:.1%}"
    if metric.unit:
        return amount(number, metric.unit)
    return f"{number:,.0f}" if number == int(number) and abs(number) >= 1 else f"{number:.4g}"


def visible(text: str, encoding: str = "utf-8") -> str:
    """Return text as one line; characters that the terminal cannot show become `\\x1b`."""
    escaped = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
    return escaped.encode(encoding, "backslashreplace").decode(encoding)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _text(console: Console, text: str, style: str = "") -> Text:
    """Return text in which rich interprets no markup."""
    return Text(visible(text, console.encoding), style, overflow="fold")


def _table(console: Console, lines: Sequence[Series], names: Mapping[int, str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("case", overflow="fold")
    table.add_column("last", justify="right", no_wrap=True)
    table.add_column("runs", justify="right", no_wrap=True)
    table.add_column("over runs", no_wrap=True)
    table.add_column("changes", justify="right", no_wrap=True)
    longest = max(map(len, names.values()))
    width = min(60, max(12, console.width - longest - 32))
    for line in lines:
        table.add_row(
            _text(console, names[line.case.case_id]),
            format_value(line.values[-1], line.metric),
            str(len(line.values)),
            _text(console, _bars(console, line.values, width)),
            str(len(line.changes) or ""),
        )
    return table


def _show_case(
    console: Console, line: Series, names: Mapping[int, str], runs: Mapping[int, RecordedSession]
) -> None:
    first, last = (
        runs[run_id].started[:16].replace("T", " ") for run_id in (line.runs[0], line.runs[-1])
    )
    sd = f" ± {format_value(line.sds[-1], line.metric)} between seeds" if line.sds[-1] else ""
    low, high = (format_value(extreme(line.values), line.metric) for extreme in (min, max))
    value = format_value(line.values[-1], line.metric)
    count = _counted(len(line.values), "run")
    console.print(_text(console, names[line.case.case_id], "bold"))
    console.print(_text(console, _bars(console, line.values, console.width)))
    console.print(_text(console, f"last {value}{sd}, {line.verdicts[-1] or 'not judged'}"))
    console.print(_text(console, f"{count}, {first} to {last}; lowest {low}, highest {high}"))


def _bars(console: Console, values: Sequence[float], width: int) -> str:
    """Draw values in at most `width` characters; each shows the mean of neighbouring values."""
    count = min(width, len(values))
    edges = [len(values) * index // count for index in range(count + 1)]
    means = [fmean(values[start:end]) for start, end in pairwise(edges)]
    low, high = min(means), max(means)
    bars = PLAIN_BARS if console.options.ascii_only else BARS
    return "".join(
        bars[min(len(bars) - 1, int(len(bars) * (mean - low) / (high - low)))]
        if high > low
        else bars[0]
        for mean in means
    )


def _change_lines(
    console: Console, group: Sequence[LevelChange], names: Mapping[int, str]
) -> Iterator[Text]:
    """Yield a run's time, commit and environment changes, then each case's change of level."""
    first = group[0]
    yield from _wrapped(
        console,
        [first.run.started[:16].replace("T", " "), first.run.commit, *first.environment_changes],
        "",
        "bold",
    )
    for change in group:
        before, after = (
            format_value(level, change.series.metric) for level in (change.before, change.after)
        )
        if before == after:
            before, after = f"{change.before:.9g}", f"{change.after:.9g}"
        mark, style = ("accepted", "") if change.accepted else ("not accepted", "yellow")
        yield from _wrapped(
            console,
            [names.get(change.series.case.case_id, ""), f"{before} -> {after}", mark],
            "  ",
            style,
        )


def _wrapped(console: Console, parts: Sequence[str], indent: str, style: str) -> Iterator[Text]:
    """Yield lines with as many parts as fit; further lines are indented more."""
    line = ""
    for part in (visible(part, console.encoding) for part in parts if part):
        if line and len(line) + 2 + len(part) > console.width:
            yield Text(line, style, overflow="fold")
            line, indent = "", indent + "  "
        line = f"{line}  {part}" if line else indent + part
    yield Text(line, style, overflow="fold")
