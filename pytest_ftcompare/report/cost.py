"""What cases cost, as text: a table of those that were timed, a sentence for each cost that moved, what was not compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pytest_ftcompare.compare.measured_cost import CostComparison
from pytest_ftcompare.compare.same_machine import UNMOVED, UNTIMED
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.results.cost_metrics import METRICS, PEAK, PEAK_COLUMN, PEAK_WIDTH

SHARE = re.compile(r"\d+(?=%)")  # in a reason
MOVED = ("worse", "changed", "better")
UNSETTLED = "?: not settled by its windows, not judged"
NOTED = "*: noted, not judged"
NAME = 20  # columns for a method; all columns together are 80
COLUMNS = {name: (metric.column, metric.width) for name, metric in METRICS.items() if metric.column}
COLUMNS[PEAK] = (PEAK_COLUMN, PEAK_WIDTH)


def amount(value: float, unit: str) -> str:
    """A number with its unit: "32.5 ms", "18.9 MiB", "1,204"."""
    if unit == "s":
        return f"{value:.3g} s" if value >= 1 else f"{1e3 * value:.3g} ms"
    if unit == "B":
        return f"{value / 2**20:,.2f} MiB" if value >= 2**20 else f"{value / 2**10:,.1f} KiB"
    return f"{value:,.3g} J" if unit == "J" else f"{value:,.0f}"


def change(one: CostComparison) -> str:
    """ "step 32.5 ms -> 34.9 ms: +7.4% in yardsticks"."""
    how = "" if one.how == "readings" else f" in {one.how}" if one.unit == "s" else f", {one.how}"
    return f"{one.metric} {amount(one.base, one.unit)} -> {amount(one.new, one.unit)}: {one.change:+.1%}{how}"


def moved(verdict: CaseVerdict) -> list[CostComparison]:
    """The costs that are not what they were, the gravest first."""
    found = [one for one in verdict.costs if one.outcome in MOVED]
    return sorted(found, key=lambda one: MOVED.index(one.outcome))


def _label(verdict: CaseVerdict, timed: Sequence[CaseVerdict]) -> str:
    """The method, and where it was timed more than once, what of its ids is not in all of them: "lora n64 r=4"."""
    method, *parts = verdict.id.split("-")
    ids = [one.id.split("-") for one in timed if one.id.split("-")[0] == method]
    return " ".join([method, *(one for one in parts if not all(one in other for other in ids))])


def _row(verdict: CaseVerdict, name: str) -> str:
    by_name = {one.metric: one for one in verdict.costs}
    cells = ""
    for column, (_, width) in COLUMNS.items():
        one = by_name.get(column)
        cells += f"{amount(one.new, one.unit) if one else '':>{width}}"
    found = moved(verdict)
    versus = "~"
    if found:
        versus = f"{found[0].metric.split()[0]} {found[0].change:+.1%}"
    elif unsettled := [one for one in verdict.costs if one.outcome == "open"]:
        versus = f"{unsettled[0].metric.split()[0]} {unsettled[0].change:+.1%}?"
    elif noted := [one for one in verdict.costs if str(one.outcome) == "noted"]:
        versus = f"{noted[0].metric.split()[0]} {noted[0].change:+.1%}*"
    elif all(one.outcome in ("new", "incomparable") for one in verdict.costs):
        versus = "new"
    return f"{name:{NAME}}{cells} {versus:>18}"


def unjudged(verdicts: Sequence[CaseVerdict]) -> Iterator[str]:
    """The costs of a session that were not judged, a line for each reason: not timed, not compared, not settled, only noted."""
    untimed = [note for one in verdicts for note in one.notes if note.startswith(UNTIMED)]
    shared = alike(note.removeprefix(UNTIMED) for note in untimed)
    for reason, count in sorted(
        Counter(shared[note.removeprefix(UNTIMED)] for note in untimed).items()
    ):
        yield f"{UNTIMED.capitalize()}{_cases(count)} ({reason})"
    unread = [
        (one, cost) for one in verdicts for cost in one.costs if cost.outcome == "incomparable"
    ]
    told = alike(cost.note for _, cost in unread)
    by_note: dict[str, list[tuple[CaseVerdict, CostComparison]]] = {}
    for one, cost in unread:
        by_note.setdefault(told[cost.note], []).append((one, cost))
    for note, found in sorted(by_note.items()):
        cases = len({(one.suite, one.id) for one, _ in found})
        yield f"Not compared in {_cases(cases)}: {', '.join(sorted({cost.metric for _, cost in found}))} ({note})"
    if unsettled := [cost for one in verdicts for cost in one.costs if cost.outcome == "open"]:
        yield f"Not settled, not judged: {shifts(unsettled)}"
    noted = [cost for one in verdicts for cost in one.costs if str(cost.outcome) == "noted"]
    for note in sorted({cost.note for cost in noted}):
        alike_noted = [cost for cost in noted if cost.note == note]
        yield f"Noted, not judged: {shifts(alike_noted)} ({note or UNMOVED})"


def _cases(count: int) -> str:
    return f"{count:,} case{'s' * (count != 1)}"


def shifts(readings: Sequence[CostComparison]) -> str:
    """ "evaluation +2.2% in 1 case, step +3.9% to +4.4% in 3 cases"; of one metric, each reading is of another case."""
    changes: dict[str, list[float]] = {}
    for one in readings:
        changes.setdefault(one.metric, []).append(one.change)
    told = []
    for metric, found in sorted(changes.items()):
        low, high = f"{min(found):+.1%}", f"{max(found):+.1%}"
        told.append(
            f"{metric} {low if low == high else f'{low} to {high}'} in {_cases(len(found))}"
        )
    return ", ".join(told)


def table(verdicts: Sequence[CaseVerdict], *, every: bool = True) -> Iterator[str]:
    """The table of the timed cases of one suite; without `every` only those whose cost moved, or that have no baseline.

    Nothing where there are none.
    """
    timed = [one for one in verdicts if any(cost.unit == "s" for cost in one.costs)]
    shown = [one for one in timed if every or moved(one) or one.verdict == "new"]
    if not shown:
        return
    yield f"{'cost':{NAME}}{''.join(f'{title:>{width}}' for title, width in COLUMNS.values())} {'vs baseline':>18}"
    for one in sorted(shown, key=lambda one: (not moved(one), one.id)):
        if len(label := _label(one, timed)) > NAME:  # on a line of its own
            yield label
            label = ""
        yield _row(one, label)
    hows = sorted(
        {cost.how for one in shown for cost in one.costs if cost.unit == "s" and cost.how}
    )
    if hows:
        yield f"  times compared in {' and '.join(hows)}; peak: bytes of one update, counted"
    outcomes = {str(one.outcome) for verdict in shown for one in verdict.costs}
    if "open" in outcomes:
        yield f"  {UNSETTLED}"
    if "noted" in outcomes:
        yield f"  {NOTED}"


def alike(reasons: Iterable[str]) -> dict[str, str]:
    """What is told for each reason: "waited for 7% of the time" and "... 12% ..." are "waited for 7 to 12% of the time"."""
    groups: dict[str, list[str]] = {}
    for one in reasons:
        groups.setdefault(SHARE.sub("", one), []).append(one)
    return {one: _ranged(group) for group in groups.values() for one in group}


def _ranged(group: list[str]) -> str:
    places = zip(*(map(int, SHARE.findall(one)) for one in group), strict=True)
    ranges = iter(
        [
            f"{min(shares)} to {max(shares)}" if min(shares) < max(shares) else f"{shares[0]}"
            for shares in places
        ]
    )
    return SHARE.sub(lambda _: next(ranges), group[0])
