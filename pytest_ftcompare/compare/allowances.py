"""Apply allowances to verdicts: does what a project accepts for a while explain a failure wholly?

The fixture `gate` calls `apply` for each case, the session `sum_up` at its end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Literal, get_args

from pytest_ftcompare.compare.divergence import Level
from pytest_ftcompare.compare.known_faults import NOT_COMPARED_SUFFIX
from pytest_ftcompare.compare.noise import SCORE_METRICS
from pytest_ftcompare.compare.pooled_shift import pool_shifts
from pytest_ftcompare.compare.verdict import OTHER_DEVICE, TOLERABLE, CaseVerdict
from pytest_ftcompare.results import cost_metrics
from pytest_ftcompare.results.allowance import Allowance, AllowanceState, CaseAllowance

SCORES = tuple(SCORE_METRICS)
COSTS = (*cost_metrics.METRICS, *cost_metrics.COUNTS)
TIMES = tuple(name for name, metric in cost_metrics.METRICS.items() if metric.unit == "s")
# A broken invariant is never accepted; outcome and cost have their metrics' names.
LEVELS = tuple(name for name in get_args(Level) if name not in ("invariant", "outcome", "cost"))
# Levels that are compared on every device and with every kernel.
STATIC_LEVELS = ("recipe", "signature")

# What a session says of an allowance. "accepted": it covered a case, and no case exceeded it.
# "unneeded": each case that it names was judged, and it covered nothing. "open": neither, as some
# of its cases did not run or are not settled.
SessionState = Literal["accepted", "exceeded", "expired", "unneeded", "open"]
# What one case makes of the session's state, the gravest first.
BY_CASE: Mapping[AllowanceState, SessionState] = {
    "exceeded": "exceeded",
    "expired": "expired",
    "covers": "accepted",
}


@dataclass(frozen=True)
class SessionAllowance(Allowance):
    """An allowance beside a whole session. `cases` are those that it covered, as suite/id."""

    state: SessionState = "open"
    cases: Sequence[str] = ()


@dataclass(frozen=True)
class _Move:
    """Something that fails a case: its name, and its size in the unit of `Allowance.at_most`."""

    what: str
    size: float | str


def _moves(verdict: CaseVerdict) -> Iterator[_Move]:
    """Yield all that fails a case, or would if it were alone."""
    if verdict.judge_accuracy:
        for score in verdict.comparisons:
            if score.outcome == "worse":
                yield _Move(score.metric, -score.delta)
    for cost in verdict.costs:
        if cost.outcome in ("worse", "changed"):
            yield _Move(cost.metric, abs(cost.change))
    for level, text in zip(verdict.levels, verdict.divergences, strict=True):
        yield _Move(level, text)


def apply(
    verdict: CaseVerdict, allowances: Iterable[Allowance], today: date, *, timed: bool
) -> CaseVerdict:
    """Return the verdict with the allowances that name its case, and with what none of them covers.

    `CaseVerdict.allowed` follows from both. What windows read cannot move in a case that is not
    `timed`.
    """
    named = [allowance for allowance in allowances if allowance.names(verdict.suite, verdict.id)]
    if not named:
        return verdict
    moves = list(_moves(verdict)) if verdict.verdict in TOLERABLE else []
    valid = [allowance for allowance in named if allowance.is_valid_on(today)]
    uncovered = [
        move
        for move in moves
        if not any(
            allowance.what == move.what and allowance.permits(move.size) for allowance in valid
        )
    ]
    unread = () if timed else cost_metrics.METRICS
    applied = [
        _apply_one(
            allowance,
            moves,
            uncovered,
            is_valid=allowance in valid,
            is_settled=allowance.what in unread or _is_settled(allowance.what, verdict),
        )
        for allowance in named
    ]
    return replace(
        verdict,
        allowances=applied,
        uncovered=list(dict.fromkeys(move.what for move in uncovered)),
    )


def _apply_one(
    allowance: Allowance,
    moves: Sequence[_Move],
    uncovered: Sequence[_Move],
    *,
    is_valid: bool,
    is_settled: bool,
) -> CaseAllowance:
    own = [move for move in moves if move.what == allowance.what]
    permitted = [move for move in own if allowance.permits(move.size)]
    beyond = [move for move in own if move in uncovered]
    state: AllowanceState = "idle" if is_settled else "open"
    shown: _Move | None = None
    if permitted:
        state, shown = ("covers" if is_valid else "expired"), permitted[0]
    elif beyond:
        state, shown = ("exceeded" if is_valid else "expired"), beyond[0]
    size = shown.size if shown else None
    return CaseAllowance(**asdict(allowance), state=state, size=size, valid=is_valid)


def _is_settled(what: str, verdict: CaseVerdict) -> bool:
    """Check whether a case tells that something did not move, given that it did not fail by it."""
    if verdict.verdict in ("invalid", "new", "incomparable"):
        return False
    if what in SCORES:
        # A task may have no such score.
        score_outcomes = [score.outcome for score in verdict.comparisons if score.metric == what]
        is_open = "open" in score_outcomes or not verdict.comparisons
        return not is_open or verdict.identical or not verdict.judge_accuracy
    if what in COSTS:
        outcomes = [cost.outcome for cost in verdict.costs if cost.metric == what]
        if not outcomes and what in TIMES:
            # A case with other times has no such piece of work: nothing trains, or is merged.
            return any(cost.metric in TIMES for cost in verdict.costs)
        return any(outcome in ("equivalent", "better") for outcome in outcomes)
    not_compared = any(
        note == OTHER_DEVICE or note.endswith(NOT_COMPARED_SUFFIX) for note in verdict.notes
    )
    if what not in STATIC_LEVELS and not_compared:
        return False
    # The first divergence may be one that only strictness fails.
    return verdict.first_divergence != what


def sum_up(
    allowances: Sequence[Allowance],
    verdicts: Sequence[CaseVerdict],
    *,
    known: Collection[tuple[str, str]],
    updated: Collection[tuple[str, str]] = (),
) -> list[SessionAllowance]:
    """Say of each allowance what it did in a session.

    `known` are suite and id of all cases that the tables and baselines have: an allowance is
    needed until each of them was judged. `updated` are cases with a new baseline, which explain
    nothing any more. An allowance of a metric that all cases together lose is needed, too.
    """
    if not allowances:
        return []
    met = {
        (verdict.suite, verdict.id): {
            _plain(allowance): allowance.state for allowance in verdict.allowances
        }
        for verdict in verdicts
    }
    for key in updated:
        met[key] = dict.fromkeys(allowances, "idle")
    lost_together = {shift.metric for shift in pool_shifts(verdicts) if shift.outcome == "worse"}
    return [
        _sum_up_one(
            allowance,
            {key: states.get(allowance) for key, states in met.items()},
            [key for key in known if allowance.names(*key)],
            needed=allowance.what in lost_together,
        )
        for allowance in allowances
    ]


def _plain(allowance: Allowance) -> Allowance:
    names = Allowance.__dataclass_fields__
    return Allowance(**{name: getattr(allowance, name) for name in names})


def _sum_up_one(
    allowance: Allowance,
    states: Mapping[tuple[str, str], AllowanceState | None],
    named: Sequence[tuple[str, str]],
    *,
    needed: bool,
) -> SessionAllowance:
    unneeded = named and not needed and all(states.get(key) == "idle" for key in named)
    otherwise: SessionState = "unneeded" if unneeded else "open"
    met = set(states.values())
    state = next((BY_CASE[state] for state in BY_CASE if state in met), otherwise)
    covered = [
        f"{suite}/{case}" for (suite, case), its_state in states.items() if its_state == "covers"
    ]
    return SessionAllowance(**asdict(allowance), state=state, cases=covered)
