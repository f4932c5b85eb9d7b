"""One case from beginning to verdict: seeds are trained, and time is taken, until the comparison with the baseline is settled.

This is where computing and comparing meet. It imports neither torch nor pytest: `case_work.py` says what is computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_ftcompare.compare import audit, measured_cost, rows
from pytest_ftcompare.compare.environment_diff import differences, nothing_changed
from pytest_ftcompare.compare.known_faults import split_known_faults
from pytest_ftcompare.compare.same_machine import UNTIMED
from pytest_ftcompare.compare.verdict import (
    IDENTICAL,
    SHORT,
    CaseVerdict,
    JudgingCriteria,
    NeedMoreSeeds,
    incomparable,
    judge,
    with_costs,
    without_baseline,
)
from pytest_ftcompare.gate.baseline_lookup import make_terms, read_baseline
from pytest_ftcompare.gate.case_work import CaseOpener, CaseWork
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.gate.timing import costs
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.result import Result

if TYPE_CHECKING:
    from pytest_ftcompare.measure.timer import Timing


@dataclass(frozen=True)
class CaseRun:
    """A case that was held against its baseline: the verdict, the result, the device's name, the rounds of the last window
    that this process took.

    `update` says that the result is to become the case's baseline; `seconds` is how long it took, whoever asked.
    """

    verdict: CaseVerdict
    result: Result
    device: str
    update: bool = False
    timings: dict[str, Timing] = field(default_factory=dict)
    seconds: float = 0.0

    def info(self, what: str) -> dict[str, Any]:
        """What pytest-benchmark keeps beside the rounds of a timed piece."""
        here = self.result.windows[
            0
        ].process  # later ones may be of fresh processes, whose rounds are not kept
        window = [window for window in self.result.windows if window.process == here][-1]
        environment = self.result.environment
        return {
            "device": environment["cpu"] if self.device == "cpu" else self.device,
            "environment": {name: value for name, value in environment.items() if "/" not in name},
            "verdict": self.verdict.verdict,
            "moved": [
                one.metric
                for one in self.verdict.costs
                if one.outcome in ("worse", "changed", "better")
            ],
            "yardsticks": window.times[what][1],
            **self.verdict.scores,
            **self.result.signature["execution"],
            **window.readings,
            "unavailable": window.unavailable,
            "device_state": window.device_state,
            "disturbed": window.disturbed,
        }


def run_case(
    case: Case, settings: Settings, run_context: RunContext, opener: CaseOpener, judged: int = 1
) -> CaseRun:
    """Train the case, time it if it is the one timed for its method, and compare it with its baseline.

    `opener` gives what computes the case; `judged` is the number of cases that share the session's error
    rate. What keeps a case from being judged, for a reason that its user can mend, is a `CaseError`.
    """
    with opener.open(case, settings, run_context) as work:
        return _hold(work, read_baseline(case, settings, work.device), settings, judged)


def _what_differs(accepted: Result, candidate: Result, work: CaseWork) -> str:
    """What of the experiment is not the baseline's."""
    if not accepted.rows:
        return "other rows, base weights or case options"
    return (
        "; ".join(rows.changed(accepted.rows, candidate.rows, work.texts()))
        or "other base weights or case options"
    )


def _hold(work: CaseWork, accepted: Result | None, settings: Settings, judged: int) -> CaseRun:
    """Inspect, then train seeds until the judge is settled, then time; all seeds and windows on an update."""
    candidate, run_context = work.candidate(), work.run_context
    if found := work.run_audits():
        verdict = CaseVerdict(
            candidate.id,
            candidate.suite,
            "invalid",
            0,
            divergences=found,
            judge_accuracy=candidate.judge_accuracy,
        )
        return CaseRun(verdict, candidate, work.device)
    beside = (
        accepted if accepted is not None and accepted.fingerprint == candidate.fingerprint else None
    )
    update = settings.update or (settings.new_only and beside is None)
    if accepted is not None and beside is None and not update:
        reason = (
            f"its baseline is of another experiment: {_what_differs(accepted, candidate, work)}"
        )
        return CaseRun(incomparable(candidate, reason), candidate, work.device)
    run_context.say("inspecting")
    signature, probe, broken = work.inspect()
    probe["rows"] = work.row_digests(
        settings.seeds if update or accepted is None else len(accepted.seed_results)
    )
    unexplained, known = split_known_faults(broken, work.facts, candidate.environment)
    candidate = replace(candidate, signature=signature, probe=probe, broken_invariants=unexplained)
    run_context.pause()
    if not unexplained:
        signature["execution"] = work.count()
        run_context.pause()
    if update:
        candidate = replace(candidate, short_training=_short_training(work))
    verdict = _train_and_judge(work, accepted, candidate, settings, judged, update=update)
    told = audit.audit_remarks(
        candidate if update or accepted is None else accepted
    )  # it takes a baseline's seeds to tell
    verdict = replace(verdict, notes=[*verdict.notes, *known, *told, *work.notes])
    if verdict.verdict == "invalid":
        return CaseRun(verdict, candidate, work.device, update)
    timings: dict[str, Timing] = {}
    if why := work.why_untimed(beside, candidate, update=update):
        verdict = replace(verdict, notes=[*verdict.notes, f"{UNTIMED}{why}"])
    else:
        timings = work.take_windows(beside, candidate, update=update)
    if update and measured_cost.lacks_time(candidate):
        verdict = replace(verdict, notes=[*verdict.notes, measured_cost.NO_TIME])
    readings = costs(beside, candidate, strict=settings.strict_times)
    if timings and settings.reference is not None and beside is not None and not update:
        readings = work.beside_reference(beside, readings)
    return CaseRun(with_costs(verdict, readings), candidate, work.device, update, timings)


def _train_and_judge(
    work: CaseWork,
    accepted: Result | None,
    candidate: Result,
    settings: Settings,
    judged: int,
    *,
    update: bool,
) -> CaseVerdict:
    """Train seeds into the candidate until what it computes and how well it does is settled."""

    def add_until(count: int) -> None:
        for seed in range(len(candidate.seed_results), count):
            candidate.seed_results.append(
                work.run_seed(seed, work.run_context.progress(f"seed {seed}"))
            )

    terms = make_terms(accepted, settings, judged) if accepted is not None else JudgingCriteria()
    if (
        not (update or settings.full)
        and accepted is not None
        and _repeats(work, accepted, candidate)
    ):
        return _without_training(accepted, candidate, terms)
    add_until(settings.seeds if update else 1)
    if update:
        return _accept(accepted, candidate, terms)
    if accepted is None:
        return without_baseline(candidate)
    same_device = accepted.environment.get("device") == candidate.environment["device"]
    while isinstance(
        step := judge(accepted, candidate, settings.budget, same_device=same_device, terms=terms),
        NeedMoreSeeds,
    ):
        add_until(step.seeds)
    return step


def _short_training(work: CaseWork) -> str:
    return work.short_training(work.run_context.progress("short training"))


def _repeats(work: CaseWork, accepted: Result, candidate: Result) -> bool:
    """Whether nothing changed since the baseline, and probe and short training repeat it bit for bit."""
    if candidate.broken_invariants or not (
        accepted.short_training
        and accepted.seed_result(0)
        and nothing_changed(differences(accepted.environment, candidate.environment))
    ):
        return False
    first, now = (
        (one.recipe, one.signature["structure"], one.probe, one.majority_share, one.rows)
        for one in (accepted, candidate)
    )
    return first == now and _short_training(work) == accepted.short_training


def _without_training(accepted: Result, candidate: Result, terms: JudgingCriteria) -> CaseVerdict:
    """The verdict where the baseline's seed 0 stands for one that would repeat it."""
    sample = accepted.seed_result(0)
    assert sample is not None
    candidate.seed_results.append(sample)
    step = judge(accepted, candidate, 1, terms=terms)
    assert isinstance(step, CaseVerdict)
    comparisons = [replace(one, seeds=0) for one in step.comparisons]
    notes = [SHORT if note == IDENTICAL else note for note in step.notes]
    return replace(step, seeds=0, comparisons=comparisons, notes=notes)


def _accept(accepted: Result | None, candidate: Result, terms: JudgingCriteria) -> CaseVerdict:
    """What an update does to this case: refuse it, or say what moved."""
    against = [*audit.audit_validity(candidate), *audit.audit_headroom(candidate)]
    if (
        accepted is None
        or accepted.fingerprint != candidate.fingerprint
        or not accepted.seed_results
    ):
        found = without_baseline(candidate)
    else:
        step = judge(accepted, candidate, len(candidate.seed_results), terms=terms)
        assert isinstance(step, CaseVerdict)
        found = step
    return replace(found, verdict="invalid", divergences=against) if against else found
