"""Run one case, from its settings to its verdict.

`run_case` inspects the case, trains seeds until the verdict is settled, then takes timed windows.
The fixture `gate` (plugin/gate_fixture.py) calls it, and so do claims (claim_evidence.py). It
imports neither torch nor pytest: a `CaseWork` (case_work.py) does all computing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_ftcompare.compare import audit, measured_cost, rows
from pytest_ftcompare.compare.environment_diff import differences, is_source_file, nothing_changed
from pytest_ftcompare.compare.known_faults import split_known_faults
from pytest_ftcompare.compare.same_machine import UNTIMED
from pytest_ftcompare.compare.verdict import (
    IDENTICAL,
    SHORT_TRAINING,
    CaseVerdict,
    JudgingCriteria,
    NeedMoreSeeds,
    incomparable,
    judge,
    with_costs,
    without_baseline,
)
from pytest_ftcompare.gate.baseline_lookup import make_criteria, read_baseline
from pytest_ftcompare.gate.case_work import CaseOpener, CaseWork
from pytest_ftcompare.gate.distributions import record_distributions
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.gate.timing import compare_costs
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.result import MAX_ROW_DIGESTS, Result

if TYPE_CHECKING:
    from pytest_ftcompare.gate.reference_timing import TimesBeside
    from pytest_ftcompare.measure.timer import Timing


OTHER_EXPERIMENT = "other base weights, precision, case options or rows of a source task"


@dataclass(frozen=True)
class CaseRun:
    """A case that ran: its verdict, its result and the name of its device.

    `update` is true if the result shall become the case's baseline. `timings` are the rounds of the
    last window that this process took, or those beside the reference, by piece of work. `seconds`
    is the duration of the run.
    """

    verdict: CaseVerdict
    result: Result
    device: str
    update: bool = False
    timings: dict[str, Timing] = field(default_factory=dict)
    seconds: float = 0.0

    def benchmark_info(self, workload: str) -> dict[str, Any]:
        """Return the `extra_info` that pytest-benchmark stores with a piece of work's rounds."""
        environment = self.result.environment
        return {
            "device": environment["cpu"] if self.device == "cpu" else self.device,
            "environment": {
                name: value for name, value in environment.items() if not is_source_file(name)
            },
            "verdict": self.verdict.verdict,
            "moved": [
                comparison.metric
                for comparison in self.verdict.costs
                if comparison.outcome in ("worse", "changed", "better")
            ],
            **self.verdict.scores,
            **self.result.signature["execution"],
            **self._window_info(workload),
        }

    def _window_info(self, workload: str) -> dict[str, Any]:
        """Return what the window of the rounds tells; {} if they were taken beside a reference."""
        if not self.result.windows:
            return {}
        # This process took the first window. Rounds of fresh processes are not stored.
        process = self.result.windows[0].process
        window = [window for window in self.result.windows if window.process == process][-1]
        return {
            "yardsticks": window.times[workload][1],
            **window.readings,
            "unavailable": window.unavailable,
            "device_state": window.device_state,
            "disturbed": window.disturbed,
        }


def run_case(
    case: Case,
    settings: Settings,
    run_context: RunContext,
    opener: CaseOpener,
    judged_cases: int = 1,
) -> CaseRun:
    """Train a case, time it if it is a timed case, and compare it with its baseline.

    `opener` supplies the `CaseWork` that computes. `judged_cases` is the number of cases that share
    the session's error rate. Raise `CaseError` if the case cannot run for a reason that the user
    can remove, such as a missing model.
    """
    with opener.open(case, settings, run_context) as work:
        return _run_open_case(
            work, read_baseline(case, settings, work.device), settings, judged_cases
        )


def _describe_difference(baseline: Result, candidate: Result, work: CaseWork) -> str:
    """Describe how the candidate's experiment differs from the baseline's."""
    if not baseline.rows:
        return f"other rows, or {OTHER_EXPERIMENT}"
    changes = "; ".join(rows.describe_row_changes(baseline.rows, candidate.rows, work.row_names()))
    if changes:
        return changes
    more = any(len(names) >= MAX_ROW_DIGESTS for names in work.row_names().values())
    after = f"other rows after the first {MAX_ROW_DIGESTS:,}, or " if more else ""
    return f"{after}{OTHER_EXPERIMENT}"


def _run_open_case(
    work: CaseWork, baseline: Result | None, settings: Settings, judged_cases: int
) -> CaseRun:
    """Audit and inspect the case, train and judge it, then take its windows.

    An update trains all seeds and takes all windows. Any other run stops when the verdict is
    settled.
    """
    run_context = work.run_context
    candidate = record_distributions(work.candidate(), run_context.folder, settings.root)
    if refusals := work.run_audits():
        verdict = CaseVerdict(
            candidate.id,
            candidate.suite,
            "invalid",
            0,
            divergences=refusals,
            judge_accuracy=candidate.judge_accuracy,
        )
        return CaseRun(verdict, candidate, work.device)
    comparable = (
        baseline if baseline is not None and baseline.fingerprint == candidate.fingerprint else None
    )
    update = settings.update or (settings.new_only and comparable is None)
    if baseline is not None and comparable is None and not update:
        reason = (
            "its baseline is of another experiment: "
            f"{_describe_difference(baseline, candidate, work)}"
        )
        return CaseRun(incomparable(candidate, reason), candidate, work.device)
    run_context.report_status("inspecting")
    signature, probe, broken_invariants = work.inspect()
    probe["rows"] = work.row_digests(
        settings.seeds if update or baseline is None else len(baseline.seed_results)
    )
    unexplained, known_faults = split_known_faults(
        broken_invariants, work.facts, candidate.environment
    )
    candidate = replace(candidate, signature=signature, probe=probe, broken_invariants=unexplained)
    run_context.pause()
    if not unexplained:
        signature["execution"] = work.count()
        run_context.pause()
    # A provisional baseline is compared with another environment, which trains in any case.
    if update and not settings.provisional:
        candidate = replace(candidate, short_training=_repeatable_short_training(work))
    verdict = _train_and_judge(work, baseline, candidate, settings, judged_cases, update=update)
    # Remarks need the seeds of a baseline. A run that is no update may have one seed or none.
    remarks = audit.audit_remarks(
        candidate
        if update or baseline is None
        else replace(baseline, judge_accuracy=candidate.judge_accuracy)
    )
    verdict = replace(verdict, notes=[*verdict.notes, *known_faults, *remarks, *work.remarks])
    if verdict.verdict == "invalid":
        return CaseRun(verdict, candidate, work.device, update)
    timings: dict[str, Timing] = {}
    beside: TimesBeside | None = None
    if untimed_reason := work.why_untimed(comparable, candidate, update=update):
        verdict = replace(verdict, notes=[*verdict.notes, f"{UNTIMED}{untimed_reason}"])
    else:
        if settings.reference is not None and comparable is not None and not update:
            beside = work.time_beside_reference(comparable)
        # A GPU's windows also read its memory.
        if beside is None or work.device != "cpu" or (beside.refusal and settings.full):
            timings = work.take_windows(comparable, candidate, update=update)
        else:
            timings = beside.timings
    if update and measured_cost.all_windows_disturbed(candidate):
        verdict = replace(verdict, notes=[*verdict.notes, measured_cost.NO_TIME])
    costs = compare_costs(comparable, candidate, strict=settings.strict_times)
    if beside is not None:
        costs = beside.replace_times(costs)
    return CaseRun(with_costs(verdict, costs), candidate, work.device, update, timings)


def _train_and_judge(
    work: CaseWork,
    baseline: Result | None,
    candidate: Result,
    settings: Settings,
    judged_cases: int,
    *,
    update: bool,
) -> CaseVerdict:
    """Add trained seeds to `candidate` until its verdict is settled, and return the verdict."""

    def train_up_to(count: int) -> None:
        for seed in range(len(candidate.seed_results), count):
            candidate.seed_results.append(
                work.run_seed(seed, work.run_context.progress(f"seed {seed}"))
            )

    criteria = (
        make_criteria(baseline, settings, judged_cases)
        if baseline is not None
        else JudgingCriteria()
    )
    if (
        not (update or settings.full)
        and baseline is not None
        and _repeats_baseline(work, baseline, candidate)
    ):
        return _reuse_baseline_seed(baseline, candidate, criteria)
    train_up_to(settings.seeds if update else 1)
    if update:
        return _judge_update(baseline, candidate, criteria, provisional=settings.provisional)
    if baseline is None:
        return without_baseline(candidate)
    same_device = baseline.environment.get("device") == candidate.environment["device"]
    while isinstance(
        step := judge(
            baseline, candidate, settings.budget, same_device=same_device, criteria=criteria
        ),
        NeedMoreSeeds,
    ):
        train_up_to(step.seeds)
    return step


def _short_training(work: CaseWork) -> str:
    """Return the digest of the case's short training."""
    return work.short_training(work.run_context.progress("short training"))


def _repeatable_short_training(work: CaseWork) -> str:
    """Return the digest of the short training, "" if this device does not repeat it bit for bit."""
    digest = _short_training(work)
    return digest if digest and work.repeats_short_training(digest) else ""


def _repeats_baseline(work: CaseWork, baseline: Result, candidate: Result) -> bool:
    """Check whether nothing changed, and probe and short training repeat bit for bit."""
    if candidate.broken_invariants or not (
        baseline.short_training
        and baseline.seed_result(0)
        and nothing_changed(differences(baseline.environment, candidate.environment))
    ):
        return False
    before, after = (
        (
            result.recipe,
            result.signature["structure"],
            result.probe,
            result.majority_share,
            result.rows,
        )
        for result in (baseline, candidate)
    )
    return before == after and _short_training(work) == baseline.short_training


def _reuse_baseline_seed(
    baseline: Result, candidate: Result, criteria: JudgingCriteria
) -> CaseVerdict:
    """Judge the candidate with the baseline's seed 0, which a training would only repeat."""
    seed_result = baseline.seed_result(0)
    assert seed_result is not None
    candidate.seed_results.append(seed_result)
    verdict = judge(baseline, candidate, 1, criteria=criteria)
    assert isinstance(verdict, CaseVerdict)
    comparisons = [replace(comparison, seeds=0) for comparison in verdict.comparisons]
    notes = [SHORT_TRAINING if note == IDENTICAL else note for note in verdict.notes]
    return replace(verdict, seeds=0, comparisons=comparisons, notes=notes)


def _judge_update(
    baseline: Result | None, candidate: Result, criteria: JudgingCriteria, *, provisional: bool
) -> CaseVerdict:
    """Return `invalid` if an audit refuses the new baseline, else the change from the old one.

    A `provisional` baseline may have too few seeds, and no headroom.
    """
    headroom = () if provisional else audit.audit_headroom(candidate)
    refusals = [*audit.audit_validity(candidate), *headroom]
    if (
        baseline is None
        or baseline.fingerprint != candidate.fingerprint
        or not baseline.seed_results
    ):
        verdict = without_baseline(candidate)
    else:
        step = judge(baseline, candidate, len(candidate.seed_results), criteria=criteria)
        assert isinstance(step, CaseVerdict)
        verdict = step
    if not refusals:
        return verdict
    levels = ["invariant"] * len(refusals)
    return replace(
        verdict,
        verdict="invalid",
        divergences=refusals,
        levels=levels,
        first_divergence="invariant",
        notes=[note for note in verdict.notes if note != IDENTICAL],
    )
