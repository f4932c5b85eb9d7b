"""Judge one run against one run: no seeds scatter and there is no trace, so the verdict is weaker.

The files do not show what a rerun with the same seed, code and machine changes, so the noise is
stated here. It was measured on published reruns of PEFT's MetaMathQA comparison (NVIDIA L40S). One
case shows only a difference of `Z_THRESHOLD` standard errors; `pooled_shift.py` finds smaller
shifts that many cases share. `compare_results.py` calls it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist, median

from pytest_ftcompare.compare import audit
from pytest_ftcompare.compare.brief import describe_change, shorten
from pytest_ftcompare.compare.counted_cost import ACROSS_VERSIONS_MARGIN
from pytest_ftcompare.compare.environment_diff import Difference, differences
from pytest_ftcompare.compare.measured_cost import CostComparison, CostOutcome
from pytest_ftcompare.compare.sequential_test import ScoreComparison, ScoreOutcome
from pytest_ftcompare.compare.verdict import CaseVerdict, VerdictName, incomparable, with_costs
from pytest_ftcompare.results.result import Result

# SD of a rerun's accuracy, as a share (reruns of MetaMathQA). Raising it finds fewer losses.
ACCURACY_SD = 0.006
# SD of the logarithm of time that all cases of a suite's run share (same reruns).
SHARED_TIME_SD = 0.14
# SD of the logarithm of a case's time without the shared part (same reruns).
OWN_TIME_SD = 0.025
# SD of the logarithm of reserved memory (same reruns).
MEMORY_SD = 0.0024
# Degrees of freedom that these SDs are given. Chosen.
SD_FREEDOM = 30.0
# Standard errors of a real difference between two single runs. Chosen. Raising it finds fewer.
Z_THRESHOLD = 3.5
# Confidence of the bound that must clear the margin for `equivalent`. Chosen. Raising it leaves
# more cases undecided.
CONFIDENCE = 0.95
# Cases from which the shared change of time is estimated. Chosen. With fewer, times have a wider
# margin.
MIN_CASES_FOR_SHARED_TIME = 5

SAME_RUN = "both files are of one run: there is nothing to compare"


def judge(baseline: Result, candidate: Result, shared_change: float | None = None) -> CaseVerdict:
    """Return the verdict on one run against one run.

    `shared_change` is the logarithm of the change of time that the suite's cases share.
    """
    refused = list(audit.audit_validity(candidate))
    changes = differences(baseline.environment, candidate.environment)
    if not refused and (refused_before := list(audit.audit_validity(baseline))):
        return incomparable(
            candidate, f"the run it is compared with is invalid: {refused_before[0]}"
        )
    if settings := _changed_settings(baseline.recipe, candidate.recipe):
        return incomparable(candidate, f"another experiment: {settings[0]}")
    if baseline.seed_results[0].trace.digest == candidate.seed_results[0].trace.digest:
        return _make_verdict(candidate, "invalid" if refused else "same", refused, [SAME_RUN])
    divergences = refused + _structure_changes(baseline, candidate)
    comparisons = [] if refused else _compare_accuracy(baseline, candidate)
    outcomes = {comparison.outcome for comparison in comparisons}
    name: VerdictName = "better" if "better" in outcomes else "same"
    if refused:
        name = "invalid"
    elif "worse" in outcomes:
        name = "worse"
    elif divergences:
        name = "changed"
    elif "open" in outcomes:
        name = "undecided"
    costs = [] if refused else compare_costs(baseline, candidate, changes, shared_change)
    verdict = _make_verdict(
        candidate, name, divergences, _one_sided_settings(baseline.recipe, candidate.recipe)
    )
    moved = any(comparison.outcome in ("worse", "better") for comparison in comparisons)
    level = "invariant" if refused else "signature" if divergences else "outcome" if moved else ""
    return with_costs(
        replace(verdict, comparisons=comparisons, changes=changes, first_divergence=level), costs
    )


def _make_verdict(
    candidate: Result, name: VerdictName, divergences: list[str], notes: list[str]
) -> CaseVerdict:
    return CaseVerdict(
        candidate.id,
        candidate.suite,
        name,
        len(candidate.seed_results),
        divergences=divergences,
        notes=notes,
        judge_accuracy=candidate.judge_accuracy,
        scores=dict(candidate.seed_results[0].metrics),
    )


def _changed_settings(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Return the settings that both runs have and that differ: another experiment."""
    shared = [
        key
        for key in before
        if key in after and _value_if_set(before[key]) != _value_if_set(after[key])
    ]
    return [f"{key} {describe_change(before, after, key)}" for key in shared]


def _one_sided_settings(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Return a note about settings that only one run has and sets.

    Most are new names for what always was so.
    """
    settings = [
        f"{key} {shorten(after[key])}"
        for key in sorted(after.keys() - before.keys())
        if _value_if_set(after[key]) is not None
    ]
    settings += [
        f"{key} absent"
        for key in sorted(before.keys() - after.keys())
        if _value_if_set(before[key]) is not None
    ]
    return [f"settings that one side does not know: {', '.join(settings)}"] if settings else []


def _value_if_set(value: object) -> object:
    """Return a setting's value, or None if it is a way to write "not set"."""
    return None if value in (False, {}, [], "") else value


def _structure_changes(baseline: Result, candidate: Result) -> list[str]:
    before, after = baseline.signature["structure"], candidate.signature["structure"]
    shared = [key for key in before if key in after and before[key] != after[key]]
    return [f"{key} {describe_change(before, after, key)}" for key in shared]


def _compare_accuracy(baseline: Result, candidate: Result) -> list[ScoreComparison]:
    """Compare the accuracy. Other metrics have no known noise and are not judged."""
    if not (baseline.judge_accuracy and candidate.judge_accuracy):
        return []
    base, new = (result.seed_results[0].metrics["accuracy"] for result in (baseline, candidate))
    delta, error = new - base, math.sqrt(2) * ACCURACY_SD
    margin = Z_THRESHOLD * error
    outcome: ScoreOutcome = "open"
    if abs(delta) > margin:
        outcome = "worse" if delta < 0 else "better"
    elif delta - NormalDist().inv_cdf(CONFIDENCE) * error > -margin:
        outcome = "equivalent"
    return [
        ScoreComparison(
            metric="accuracy",
            base=base,
            base_sd=0.0,
            new=new,
            new_sd=0.0,
            delta=delta,
            error=error,
            noise=ACCURACY_SD,
            freedom=SD_FREEDOM,
            rho=0.0,
            p=NormalDist().cdf(-abs(delta) / error),
            margin=margin,
            seeds=1,
            outcome=outcome,
        )
    ]


def compare_costs(
    baseline: Result, candidate: Result, changes: Sequence[Difference], shared_change: float | None
) -> list[CostComparison]:
    """Compare bytes and seconds, sorted by name."""
    before, after = baseline.windows[0], candidate.windows[0]
    other_device = next((str(change) for change in changes if change.name == "device"), "")
    comparisons = []
    for name in before.readings.keys() & after.readings.keys():
        exact = name == "checkpoint bytes"
        margin = ACROSS_VERSIONS_MARGIN if exact else Z_THRESHOLD * math.sqrt(2) * MEMORY_SD
        comparisons.append(
            _compare_cost(
                name,
                "B",
                before.readings[name],
                after.readings[name],
                margin,
                "" if exact else other_device,
            )
        )
    for name in before.times.keys() & after.times.keys():
        base, new = before.times[name][0], after.times[name][0]
        margin = (
            Z_THRESHOLD
            * math.sqrt(2)
            * (math.hypot(SHARED_TIME_SD, OWN_TIME_SD) if shared_change is None else OWN_TIME_SD)
        )
        comparisons.append(
            _compare_cost(name, "s", base, new, margin, other_device, shared_change or 0.0)
        )
    return sorted(comparisons, key=lambda comparison: comparison.metric)


def _compare_cost(
    name: str,
    unit: str,
    base: float,
    new: float,
    margin: float,
    obstacle: str,
    shared_change: float = 0.0,
) -> CostComparison:
    if obstacle:
        return CostComparison(name, unit, base, new, 0.0, "", "incomparable", obstacle)
    change = math.log(new / base) - shared_change
    outcome: CostOutcome = (
        "equivalent" if abs(change) <= margin else "worse" if change > 0 else "better"
    )
    # It fell, but its suite fell more: shown, not judged.
    if outcome == "worse" and new < base:
        outcome = "noted"
    how = (
        "readings"
        if unit == "B"
        else f"seconds beside the suite's {math.expm1(shared_change):+.1%}"
        if shared_change
        else "seconds"
    )
    return CostComparison(name, unit, base, new, math.expm1(change), how, outcome)


def shared_time_change(pairs: Sequence[tuple[Result, Result]]) -> float | None:
    """Return the logarithm of the change of time that all cases of a suite share: their median.

    Return None if the cases are too few.
    """
    changes = [
        math.log(after.windows[0].times[name][0] / before.windows[0].times[name][0])
        for before, after in pairs
        if before.environment["device"] == after.environment["device"]
        for name in before.windows[0].times.keys() & after.windows[0].times.keys()
    ]
    return median(changes) if len(changes) >= MIN_CASES_FOR_SHARED_TIME else None
