"""Compare finished results: one case, or all cases that two sets of results share.

The command `python -m pytest_ftcompare compare` and library users call it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from pytest_ftcompare.compare import measured_cost, single_run
from pytest_ftcompare.compare.counted_cost import compare_counts
from pytest_ftcompare.compare.environment_diff import differences
from pytest_ftcompare.compare.noise import SCORE_METRICS, fit_priors
from pytest_ftcompare.compare.sequential_test import error_share
from pytest_ftcompare.compare.session_verdict import SessionVerdict
from pytest_ftcompare.compare.verdict import (
    CaseVerdict,
    JudgingCriteria,
    incomparable,
    judge,
    with_costs,
)
from pytest_ftcompare.results import result_folders
from pytest_ftcompare.results.peft_files import is_imported
from pytest_ftcompare.results.result import Result

Pair = tuple[Result, Result]


def compare(
    baseline: Result, candidate: Result, criteria: JudgingCriteria | None = None
) -> CaseVerdict:
    """Return the verdict on all seeds and windows of a candidate against its baseline.

    `criteria` are those of the candidate's suite; by default the case is judged alone.
    """
    if is_imported(baseline) and is_imported(candidate):
        return single_run.judge(baseline, candidate)
    if baseline.fingerprint != candidate.fingerprint:
        return incomparable(
            candidate, "another experiment: other rows, base weights or case options"
        )
    if not {seed_result.seed for seed_result in baseline.seed_results} & {
        seed_result.seed for seed_result in candidate.seed_results
    }:
        return incomparable(candidate, "the two results have no seed in common")
    changes = differences(baseline.environment, candidate.environment)
    same_device = not any(change.name == "device" for change in changes)
    verdict = judge(
        baseline, candidate, len(candidate.seed_results), same_device=same_device, criteria=criteria
    )
    # The budget is the number of seeds that exist, so the judge cannot ask for more.
    assert isinstance(verdict, CaseVerdict)
    if not same_device or verdict.verdict == "invalid":
        return verdict
    costs = compare_counts(baseline, candidate, changes)
    if baseline.windows and candidate.windows:
        costs += measured_cost.compare_times(baseline, candidate, changes)
    return with_costs(verdict, costs)


def compare_suites(baselines: Iterable[Result], candidates: Sequence[Result]) -> SessionVerdict:
    """Return the verdicts on the cases that both sets have, with the pooled shifts.

    Raise `FolderError` if the sets have no case in common.
    """
    return compare_pairs(result_folders.pair_results(baselines, candidates).both)


def compare_pairs(pairs: Sequence[Pair]) -> SessionVerdict:
    """Return the verdicts on (baseline, candidate) pairs, with the pooled shifts."""
    share = error_share(sum(baseline.judge_accuracy for baseline, _ in pairs), SCORE_METRICS)
    verdicts: list[CaseVerdict] = []
    for _, group in groupby(
        sorted(pairs, key=lambda pair: pair[1].suite), key=lambda pair: pair[1].suite
    ):
        suite = list(group)
        imported = [(old, new) for old, new in suite if is_imported(old) and is_imported(new)]
        native = [(old, new) for old, new in suite if not (is_imported(old) and is_imported(new))]
        shared_change = single_run.shared_time_change(imported)
        verdicts += [single_run.judge(old, new, shared_change) for old, new in imported]
        criteria = JudgingCriteria(fit_priors([old for old, _ in native]), share)
        verdicts += [compare(old, new, criteria) for old, new in native]
    return SessionVerdict(verdicts)
