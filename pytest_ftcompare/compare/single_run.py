"""The verdict where there is one run of a case on either side: no seeds to scatter, no trace, so a weaker verdict.

What a rerun with the same seed, code and machine moves is not in the files, so it is stated here: measured on published reruns
of PEFT's MetaMathQA comparison (NVIDIA L40S). One case shows only what stands `Z_THRESHOLD` standard errors from nothing; smaller
shifts show where many cases share them (`pooled_shift.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist, median

from pytest_ftcompare.compare import audit
from pytest_ftcompare.compare.brief import shorten, describe_change
from pytest_ftcompare.compare.counted_cost import ACROSS_VERSIONS_MARGIN
from pytest_ftcompare.compare.environment_diff import Difference, differences
from pytest_ftcompare.compare.measured_cost import CostComparison, CostOutcome
from pytest_ftcompare.compare.sequential_test import ScoreComparison
from pytest_ftcompare.compare.sequential_test import ScoreOutcome as Settled
from pytest_ftcompare.compare.verdict import CaseVerdict, VerdictName, incomparable, with_costs
from pytest_ftcompare.results.result import Result

ACCURACY_SD = 0.006  # SD of the accuracy of a rerun
SHARED_TIME_SD = (
    0.14  # SD of the logarithm of its time that all cases of a suite's run have in common
)
OWN_TIME_SD = 0.025  # and of what is left of it without that
MEMORY_SD = 0.0024  # SD of the logarithm of the memory that it reserves
SD_FREEDOM = 30.0  # observations that these SDs are taken to rest on
Z_THRESHOLD = 3.5  # standard errors that a difference of two single runs must be away from none
CONFIDENCE = 0.95  # of the bound that must clear the margin
MIN_CASES_FOR_SHARED_TIME = 5  # cases from which the time that a suite's run has in common is told

SAME_RUN = "both files are of one run: there is nothing to compare"


def judge(baseline: Result, candidate: Result, shared_change: float | None = None) -> CaseVerdict:
    """The verdict on one run against one run; `pace` is the logarithm of the time that the suite's cases have in common."""
    refused = list(audit.audit_validity(candidate))
    changes = differences(baseline.environment, candidate.environment)
    if not refused and (before := list(audit.audit_validity(baseline))):
        return incomparable(candidate, f"the run it is compared with is not sound: {before[0]}")
    if settings := _changed_settings(baseline.recipe, candidate.recipe):
        return incomparable(candidate, f"another experiment: {settings[0]}")
    if baseline.seed_results[0].trace.digest == candidate.seed_results[0].trace.digest:
        return _make_verdict(candidate, "invalid" if refused else "same", refused, [SAME_RUN])
    signs = refused + _structure_changes(baseline, candidate)
    comparisons = [] if refused else _compare_accuracy(baseline, candidate)
    outcomes = {one.outcome for one in comparisons}
    verdict: VerdictName = "better" if "better" in outcomes else "same"
    if refused:
        verdict = "invalid"
    elif "worse" in outcomes:
        verdict = "worse"
    elif signs:
        verdict = "changed"
    elif "open" in outcomes:
        verdict = "undecided"
    costs = [] if refused else compare_costs(baseline, candidate, changes, shared_change)
    found = _make_verdict(
        candidate, verdict, signs, _one_sided_settings(baseline.recipe, candidate.recipe)
    )
    moved = any(one.outcome in ("worse", "better") for one in comparisons)
    began = "invariant" if refused else "signature" if signs else "outcome" if moved else ""
    return with_costs(
        replace(found, comparisons=comparisons, changes=changes, first_divergence=began), costs
    )


def _make_verdict(
    candidate: Result, verdict: VerdictName, signs: list[str], notes: list[str]
) -> CaseVerdict:
    return CaseVerdict(
        candidate.id,
        candidate.suite,
        verdict,
        len(candidate.seed_results),
        divergences=signs,
        notes=notes,
        judge_accuracy=candidate.judge_accuracy,
        scores=dict(candidate.seed_results[0].metrics),
    )


def _changed_settings(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Settings that both have and that differ: it is not the same experiment."""
    shared = [
        key
        for key in before
        if key in after and _value_if_set(before[key]) != _value_if_set(after[key])
    ]
    return [f"{key} {describe_change(before, after, key)}" for key in shared]


def _one_sided_settings(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Settings that only one of the two versions knows and sets, as a note: most are new names of what was always so."""
    found = [
        f"{key} {shorten(after[key])}"
        for key in sorted(after.keys() - before.keys())
        if _value_if_set(after[key]) is not None
    ]
    found += [
        f"{key} absent"
        for key in sorted(before.keys() - after.keys())
        if _value_if_set(before[key]) is not None
    ]
    return [f"settings that one side does not know: {', '.join(found)}"] if found else []


def _value_if_set(value: object) -> object:
    """A setting's value, None where it is not set in whatever way."""
    return None if value in (False, {}, [], "") else value


def _structure_changes(baseline: Result, candidate: Result) -> list[str]:
    before, after = baseline.signature["structure"], candidate.signature["structure"]
    shared = [key for key in before if key in after and before[key] != after[key]]
    return [f"{key} {describe_change(before, after, key)}" for key in shared]


def _compare_accuracy(baseline: Result, candidate: Result) -> list[ScoreComparison]:
    """The accuracy of one run against another's; other outcomes have no known noise and are not judged."""
    if not (baseline.judge_accuracy and candidate.judge_accuracy):
        return []
    base, new = (one.seed_results[0].metrics["accuracy"] for one in (baseline, candidate))
    delta, error = new - base, math.sqrt(2) * ACCURACY_SD
    margin = Z_THRESHOLD * error
    outcome: Settled = "open"
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
    """Bytes and seconds of one run against another's."""
    before, after = baseline.windows[0], candidate.windows[0]
    other = next((str(one) for one in changes if one.name == "device"), "")
    found = []
    for name in before.readings.keys() & after.readings.keys():
        exact = name == "checkpoint bytes"
        margin = ACROSS_VERSIONS_MARGIN if exact else Z_THRESHOLD * math.sqrt(2) * MEMORY_SD
        found.append(
            _compare_cost(
                name,
                "B",
                before.readings[name],
                after.readings[name],
                margin,
                "" if exact else other,
            )
        )
    for name in before.times.keys() & after.times.keys():
        base, new = before.times[name][0], after.times[name][0]
        margin = (
            Z_THRESHOLD
            * math.sqrt(2)
            * (math.hypot(SHARED_TIME_SD, OWN_TIME_SD) if shared_change is None else OWN_TIME_SD)
        )
        found.append(_compare_cost(name, "s", base, new, margin, other, shared_change or 0.0))
    return sorted(found, key=lambda one: one.metric)


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
    if outcome == "worse" and new < base:  # it fell, while its suite fell more: told, no failure
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
    """The logarithm of what all cases of a suite took longer, a median; None where they are too few to tell."""
    found = [
        math.log(after.windows[0].times[name][0] / before.windows[0].times[name][0])
        for before, after in pairs
        if before.environment["device"] == after.environment["device"]
        for name in before.windows[0].times.keys() & after.windows[0].times.keys()
    ]
    return median(found) if len(found) >= MIN_CASES_FOR_SHARED_TIME else None
