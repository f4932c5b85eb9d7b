"""What an update wrote, as text: a line for each case and metric, and the stale baselines."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean
from typing import TYPE_CHECKING

from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.report.wording import METRIC_NAMES
from pytest_ftcompare.results.cost_metrics import PEAK, PEAK_COLUMN, STEP
from pytest_ftcompare.results.result import Result

if TYPE_CHECKING:  # importing it would load what only a session needs
    from pytest_ftcompare.gate.session import GateSession

Line = tuple[str, dict[str, bool]]
MAX_LISTED = 3  # unchanged cases and stale baselines that have a line each; chosen
# A time within this share of its baseline's counts as unchanged. Raising it lists fewer cases.
UNCHANGED_MARGIN = STEP.margin
NAME_WIDTH = max(map(len, METRIC_NAMES.values())) + 1


def replaced(session: GateSession, verdict: CaseVerdict) -> bool:
    """Whether the case's baseline was written; its lines then say what changed."""
    return any((new.suite, new.id) == (verdict.suite, verdict.id) for _, new in session.written)


def written(session: GateSession) -> Iterator[Line]:
    """Describe each case that was written; many unchanged cases are only counted."""
    verdicts = {(verdict.suite, verdict.id): verdict for verdict in session.verdicts}
    pairs = sorted(session.written, key=lambda pair: (pair[1].suite, pair[1].id))
    unchanged = [new for old, new in pairs if _is_unchanged(old, new)]
    for old, new in pairs:
        if len(unchanged) > MAX_LISTED and new in unchanged:
            continue
        verdict = verdicts[new.suite, new.id]
        yield f"{verdict.verdict}: {new.id}", {"bold": True}
        if old is not None and old.fingerprint != new.fingerprint:
            yield "  its baseline was of another experiment", {}
            old = None
        yield from ((f"  {name:{NAME_WIDTH}} {text}", {}) for name, text in _metrics(old, new))
        if verdict.divergences and verdict.verdict != "invalid":
            yield f"  first divergence: {verdict.divergences[0]}", {}
    if len(unchanged) > MAX_LISTED:
        margin = f"their times within {UNCHANGED_MARGIN:.0%}"
        yield f"= {len(unchanged)} cases as they were, bit for bit, {margin}", {}


def stale(session: GateSession, *, every: bool = True) -> Iterator[Line]:
    """List the baselines whose case no table has any more, and say what removes them.

    Without `every`, only the first of many.
    """
    if not session.stale:
        return
    count = len(session.stale)
    what = f"{count} stale baseline{'s' * (count != 1)}, of cases that no table has any more"
    remedy = (
        "removed"
        if session.stale_removed
        else "--update-baselines of the whole suite, when all of it passes, removes them"
    )
    yield f"{what}: {remedy}.", {"yellow": True}
    show_all = every or session.stale_removed or count <= MAX_LISTED + 1
    shown = session.stale if show_all else session.stale[:MAX_LISTED]
    for path in shown:
        yield f"  {'- ' * session.stale_removed}{path.relative_to(session.baselines)}", {}
    if len(shown) < count:
        yield f"  and {count - len(shown):,} more", {}


def _metrics(old: Result | None, new: Result) -> Iterator[tuple[str, str]]:
    """Return the name and the signed change of each metric."""
    seeds = f"{len(new.seed_results)} seed{'s' * (len(new.seed_results) != 1)}"
    if old is not None and len(old.seed_results) != len(new.seed_results):
        seeds = f"{len(old.seed_results)} -> {seeds}"
    for metric, name in METRIC_NAMES.items():
        if any(metric not in seed_result.metrics for seed_result in new.seed_results):
            continue
        after = _score(new, metric)
        before = _score(old, metric) if old is not None and old.seed_results else None
        same = old is not None and _repeated(old, new)
        change = f"{after - before:+.1f} pt" if before is not None else "new"
        word = "identical" if same else change
        yield name, f"{_values(before, after, same, '.1f')} % ({word}, {seeds})"
    costs = ((STEP.column, "yardsticks", _step, ".3f"), (PEAK_COLUMN, "MiB", _peak, ",.2f"))
    for name, unit, value, digits in costs:
        now, was = value(new), value(old) if old is not None else None
        if now is not None:
            change = "new" if not was else "=" if was == now else f"{100 * (now / was - 1):+.1f} %"
            yield name, f"{_values(was, now, was == now, digits)} {unit} ({change})"


def _repeated(old: Result, new: Result) -> bool:
    """Whether the seeds of both results gave the same, bit for bit."""
    pairs = [(old.seed_result(result.seed), result) for result in new.seed_results]
    return any(before for before, _ in pairs) and all(
        before in (None, after) for before, after in pairs
    )


def _values(before: float | None, after: float, same: bool, digits: str) -> str:
    return (
        f"{after:{digits}}" if before is None or same else f"{before:{digits}} -> {after:{digits}}"
    )


def _score(result: Result, metric: str) -> float:
    return 100 * fmean(seed_result.metrics[metric] for seed_result in result.seed_results)


def _step(result: Result) -> float | None:
    """Return a training step in yardsticks, the mean of the undisturbed windows."""
    times = [
        window.times[STEP.name][1]
        for window in result.windows
        if not window.disturbed and STEP.name in window.times
    ]
    return fmean(times) if times else None


def _peak(result: Result) -> float | None:
    """Return the counted peak memory of one update in MiB."""
    peak = result.signature.get("execution", {}).get(PEAK)
    return None if peak is None else peak / 2**20


def _is_unchanged(old: Result | None, new: Result) -> bool:
    """Whether seeds and counts are equal to the bit, and the step within the noise of times."""
    if old is None or old.fingerprint != new.fingerprint or old.seed_results != new.seed_results:
        return False
    before, after = _step(old), _step(new)
    change = abs(after / before - 1) if before and after else 0.0 if before == after else 1.0
    return old.signature == new.signature and change < UNCHANGED_MARGIN
