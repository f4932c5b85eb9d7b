"""What cases cost, as text: the table of timed cases, and the costs that were not judged.

`terminal.py` prints them. `wording.py` has the sentence of a single cost.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pytest_ftcompare.compare.measured_cost import CostComparison
from pytest_ftcompare.compare.same_machine import NOTHING_CHANGED, UNTIMED
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.report.wording import amount, changed_costs, counted
from pytest_ftcompare.results.cost_metrics import METRICS, PEAK, PEAK_COLUMN, PEAK_WIDTH

# A number may have a dash before or in it, such as opt-1.4m or lr=1e-05.
ID_SEPARATOR = re.compile(r"-(?!\d)")
PERCENTAGE = re.compile(r"\d+(?=%)")
UNSETTLED = "?: not settled by its windows, not judged"
NOTED = "*: noted, not judged"
NAME_WIDTH = 20  # columns for a method; all columns together are 80
COLUMNS = {name: (metric.column, metric.width) for name, metric in METRICS.items() if metric.column}
COLUMNS[PEAK] = (PEAK_COLUMN, PEAK_WIDTH)


def _label(verdict: CaseVerdict, timed: Sequence[CaseVerdict]) -> str:
    """Name the method, and what tells its timed cases apart: "lora n64 r=4"."""
    method, *parts = ID_SEPARATOR.split(verdict.id)
    ids = [ID_SEPARATOR.split(other.id) for other in timed]
    others = [other for other in ids if other[0] == method]
    distinct = [part for part in parts if not all(part in other for other in others)]
    return " ".join([method, *distinct])


def _change(verdict: CaseVerdict) -> str:
    """Return the cell "vs baseline": the gravest change, or why there is none."""

    def text(cost: CostComparison, mark: str = "") -> str:
        return f"{cost.metric.split()[0]} {cost.change:+.1%}{mark}"

    if changed := changed_costs(verdict):
        return text(changed[0])
    for outcome, mark in (("open", "?"), ("noted", "*")):
        for cost in verdict.costs:
            if cost.outcome == outcome:
                return text(cost, mark)
    if all(cost.outcome in ("new", "incomparable") for cost in verdict.costs):
        return "new"
    times = [cost for cost in verdict.costs if cost.unit == "s"]
    return "times not compared" if all(cost.outcome == "incomparable" for cost in times) else "~"


def _reading(cost: CostComparison) -> str:
    return "-" if math.isnan(cost.new) else amount(cost.new, cost.unit)


def _row(verdict: CaseVerdict, label: str) -> str:
    by_metric = {cost.metric: cost for cost in verdict.costs}
    cells = ""
    for metric, (_, width) in COLUMNS.items():
        cost = by_metric.get(metric)
        cells += f"{_reading(cost) if cost else '':>{width}}"
    return f"{label:{NAME_WIDTH}}{cells} {_change(verdict):>18}"


def unjudged(verdicts: Sequence[CaseVerdict]) -> Iterator[str]:
    """Report the costs that were not judged, a line for each reason.

    Reasons: not timed, not compared, not settled, only noted.
    """
    reasons = [
        note.removeprefix(UNTIMED)
        for verdict in verdicts
        for note in verdict.notes
        if note.startswith(UNTIMED)
    ]
    merged = merge_percentages(reasons)
    for reason, count in sorted(Counter(merged[reason] for reason in reasons).items()):
        yield f"{UNTIMED.capitalize()}{counted(count, 'case')} ({reason})"
    costs = [(verdict, cost) for verdict in verdicts for cost in verdict.costs]
    yield from _incomparable([(v, cost) for v, cost in costs if cost.outcome == "incomparable"])
    if unsettled := [cost for _, cost in costs if cost.outcome == "open"]:
        yield f"Not settled, not judged: {ranges(unsettled)}"
    noted = [cost for _, cost in costs if str(cost.outcome) == "noted"]
    for note in sorted({cost.note for cost in noted}):
        of_note = [cost for cost in noted if cost.note == note]
        yield f"Noted, not judged: {ranges(of_note)} ({note or NOTHING_CHANGED})"


def _incomparable(costs: Sequence[tuple[CaseVerdict, CostComparison]]) -> Iterator[str]:
    """Report the costs that were not compared, a line for each reason."""
    merged = merge_percentages(cost.note for _, cost in costs)
    by_note: dict[str, list[tuple[CaseVerdict, CostComparison]]] = {}
    for verdict, cost in costs:
        by_note.setdefault(merged[cost.note], []).append((verdict, cost))
    for note, group in sorted(by_note.items()):
        cases = len({(verdict.suite, verdict.id) for verdict, _ in group})
        metrics = ", ".join(sorted({cost.metric for _, cost in group}))
        yield f"Not compared in {counted(cases, 'case')}: {metrics} ({note})"


def ranges(costs: Sequence[CostComparison]) -> str:
    """Give the range of changes of each metric over cases.

    "evaluation +2.2% in 1 case, step +3.9% to +4.4% in 3 cases"
    """
    changes: dict[str, list[float]] = {}
    for cost in costs:
        changes.setdefault(cost.metric, []).append(cost.change)
    parts = []
    for metric, values in sorted(changes.items()):
        low, high = f"{min(values):+.1%}", f"{max(values):+.1%}"
        span = low if low == high else f"{low} to {high}"
        parts.append(f"{metric} {span} in {counted(len(values), 'case')}")
    return ", ".join(parts)


def table(verdicts: Sequence[CaseVerdict], *, every: bool = True) -> Iterator[str]:
    """Return the table of the timed cases of one suite; nothing where there are none.

    Without `every`, only cases whose cost changed or that have no baseline.
    """
    timed = [verdict for verdict in verdicts if any(cost.unit == "s" for cost in verdict.costs)]
    shown = [one for one in timed if every or changed_costs(one) or one.verdict == "new"]
    if not shown:
        return
    titles = "".join(f"{title:>{width}}" for title, width in COLUMNS.values())
    yield f"{'cost':{NAME_WIDTH}}{titles} {'vs baseline':>18}"
    for verdict in sorted(shown, key=lambda verdict: (not changed_costs(verdict), verdict.id)):
        if len(label := _label(verdict, timed)) > NAME_WIDTH:  # then it has a line of its own
            yield label
            label = ""
        yield _row(verdict, label)
    costs = [cost for verdict in shown for cost in verdict.costs]
    units = sorted({cost.how for cost in costs if cost.unit == "s" and cost.how})
    if units:
        yield f"  times compared in {' and '.join(units)}; peak: bytes of one update, counted"
    outcomes = {str(cost.outcome) for cost in costs}
    if "open" in outcomes:
        yield f"  {UNSETTLED}"
    if "noted" in outcomes:
        yield f"  {NOTED}"


def merge_percentages(reasons: Iterable[str]) -> dict[str, str]:
    """Map each reason to a text that reasons share when they differ in percentages alone.

    "waited for 7% of the time" and "waited for 12% of the time" both become
    "waited for 7 to 12% of the time".
    """
    groups: dict[str, list[str]] = {}
    for reason in reasons:
        groups.setdefault(PERCENTAGE.sub("", reason), []).append(reason)
    return {reason: _with_ranges(group) for group in groups.values() for reason in group}


def _with_ranges(reasons: list[str]) -> str:
    places = zip(*(map(int, PERCENTAGE.findall(reason)) for reason in reasons), strict=True)
    spans = iter(
        f"{min(values)} to {max(values)}" if min(values) < max(values) else f"{values[0]}"
        for values in places
    )
    return PERCENTAGE.sub(lambda _: next(spans), reasons[0])
