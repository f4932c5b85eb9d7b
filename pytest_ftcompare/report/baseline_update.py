"""What an update did, as text: one signed line for each case and metric that was written, and the stale baselines."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean
from typing import TYPE_CHECKING

from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.report.wording import METRIC_NAMES
from pytest_ftcompare.results.cost_metrics import PEAK, PEAK_COLUMN, STEP
from pytest_ftcompare.results.result import Result

if TYPE_CHECKING:  # a session knows pytest
    from pytest_ftcompare.gate.session import GateSession

Line = tuple[str, dict[str, bool]]
FEW = 3  # cases as they were, and stale baselines, that are listed one by one
STILL = STEP.margin  # the least change of a time that counts
NAME = max(map(len, METRIC_NAMES.values())) + 1


def replaced(session: GateSession, verdict: CaseVerdict) -> bool:
    """Whether the case's baseline was written, so that its lines say what moved."""
    return any((new.suite, new.id) == (verdict.suite, verdict.id) for _, new in session.written)


def written(session: GateSession) -> Iterator[Line]:
    """The lines of each case that was written; those that are as they were are a count when they are many."""
    verdicts = {(one.suite, one.id): one for one in session.verdicts}
    pairs = sorted(session.written, key=lambda pair: (pair[1].suite, pair[1].id))
    still = [new for old, new in pairs if _still(old, new)]
    for old, new in pairs:
        if len(still) > FEW and new in still:
            continue
        verdict = verdicts[new.suite, new.id]
        yield f"{verdict.verdict}: {new.id}", {"bold": True}
        if old is not None and old.fingerprint != new.fingerprint:
            yield "  its baseline was of another experiment", {}
            old = None
        yield from ((f"  {name:{NAME}} {text}", {}) for name, text in _metrics(old, new))
        if verdict.divergences and verdict.verdict != "invalid":
            yield f"  first divergence: {verdict.divergences[0]}", {}
    if len(still) > FEW:
        yield f"= {len(still)} cases as they were, bit for bit, their times within {STILL:.0%}", {}


def stale(session: GateSession, *, every: bool = True) -> Iterator[Line]:
    """The baselines of cases that are no more, and what became of them; without `every` the first few that are still there."""
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
    shown = (
        session.stale if every or session.stale_removed or count <= FEW + 1 else session.stale[:FEW]
    )
    for path in shown:
        yield f"  {'- ' * session.stale_removed}{path.relative_to(session.baselines)}", {}
    if len(shown) < count:
        yield f"  and {count - len(shown):,} more", {}


def _metrics(old: Result | None, new: Result) -> Iterator[tuple[str, str]]:
    """The name and the signed change of each metric."""
    seeds = f"{len(new.seed_results)} seed{'s' * (len(new.seed_results) != 1)}"
    if old is not None and len(old.seed_results) != len(new.seed_results):
        seeds = f"{len(old.seed_results)} -> {seeds}"
    for metric, name in METRIC_NAMES.items():
        if any(metric not in one.metrics for one in new.seed_results):
            continue
        after = _score(new, metric)
        before = _score(old, metric) if old is not None and old.seed_results else None
        same = old is not None and _repeated(old, new)
        moved = f"{after - before:+.1f} pt" if before is not None else "new"
        yield (
            name,
            f"{_values(before, after, same, '.1f')} % ({'identical' if same else moved}, {seeds})",
        )
    costs = ((STEP.column, "yardsticks", _step, ".3f"), (PEAK_COLUMN, "MiB", _peak, ",.2f"))
    for name, unit, value, digits in costs:
        now, was = value(new), value(old) if old is not None else None
        if now is not None:
            moved = "new" if not was else "=" if was == now else f"{100 * (now / was - 1):+.1f} %"
            yield name, f"{_values(was, now, was == now, digits)} {unit} ({moved})"


def _repeated(old: Result, new: Result) -> bool:
    """Whether the seeds that both have gave the same, bit for bit."""
    pairs = [(old.seed_result(one.seed), one) for one in new.seed_results]
    return any(before for before, _ in pairs) and all(
        before in (None, after) for before, after in pairs
    )


def _values(before: float | None, after: float, same: bool, digits: str) -> str:
    return (
        f"{after:{digits}}" if before is None or same else f"{before:{digits}} -> {after:{digits}}"
    )


def _score(result: Result, metric: str) -> float:
    return 100 * fmean(one.metrics[metric] for one in result.seed_results)


def _step(result: Result) -> float | None:
    """A training step in yardsticks, the mean of the undisturbed windows."""
    times = [
        one.times[STEP.name][1]
        for one in result.windows
        if not one.disturbed and STEP.name in one.times
    ]
    return fmean(times) if times else None


def _peak(result: Result) -> float | None:
    """MiB of one update at its peak, counted."""
    peak = result.signature.get("execution", {}).get(PEAK)
    return None if peak is None else peak / 2**20


def _still(old: Result | None, new: Result) -> bool:
    """Whether a case is as it was: samples and counts to the bit, its step but for the noise of times."""
    if old is None or old.fingerprint != new.fingerprint or old.seed_results != new.seed_results:
        return False
    before, after = _step(old), _step(new)
    moved = abs(after / before - 1) if before and after else 0.0 if before == after else 1.0
    return old.signature == new.signature and moved < STILL
