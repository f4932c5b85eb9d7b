"""Finished results against each other: one case, or all that two sets of results have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from pytest_ftcompare.compare import measured_cost, single_run
from pytest_ftcompare.compare.counted_cost import compare_counts
from pytest_ftcompare.compare.environment_diff import differences
from pytest_ftcompare.compare.noise import METRICS, priors
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
    baseline: Result, candidate: Result, terms: JudgingCriteria | None = None
) -> CaseVerdict:
    """The verdict on all of a case's samples and windows against those of its baseline; `terms` are those of its suite."""
    if is_imported(baseline) and is_imported(candidate):
        return single_run.judge(baseline, candidate)
    if baseline.fingerprint != candidate.fingerprint:
        return incomparable(
            candidate, "another experiment: other rows, base weights or case options"
        )
    if not {one.seed for one in baseline.seed_results} & {
        one.seed for one in candidate.seed_results
    }:
        return incomparable(candidate, "the two results have no seed in common")
    changes = differences(baseline.environment, candidate.environment)
    same_device = not any(one.name == "device" for one in changes)
    found = judge(
        baseline, candidate, len(candidate.seed_results), same_device=same_device, terms=terms
    )
    assert isinstance(found, CaseVerdict)  # the budget is what is there
    if not same_device or found.verdict == "invalid":
        return found
    costs = compare_counts(baseline, candidate, changes)
    if baseline.windows and candidate.windows:
        costs += measured_cost.compare_times(baseline, candidate, changes)
    return with_costs(found, costs)


def compare_suites(baselines: Iterable[Result], candidates: Sequence[Result]) -> SessionVerdict:
    """The verdicts on the cases that both have, suite by suite, and what they say together.

    Raises `folders.FolderError` where they have no case in common.
    """
    return compare_pairs(result_folders.pairs(baselines, candidates).both)


def compare_pairs(pairs: Sequence[Pair]) -> SessionVerdict:
    """The verdicts on pairs of a case's baseline and its candidate, and what they say together."""
    share = error_share(sum(old.judge_accuracy for old, _ in pairs), METRICS)
    found: list[CaseVerdict] = []
    for _, group in groupby(
        sorted(pairs, key=lambda pair: pair[1].suite), key=lambda pair: pair[1].suite
    ):
        suite = list(group)
        theirs = [(old, new) for old, new in suite if is_imported(old) and is_imported(new)]
        ours = [(old, new) for old, new in suite if not (is_imported(old) and is_imported(new))]
        pace = single_run.pace(theirs)
        found += [single_run.judge(old, new, pace) for old, new in theirs]
        terms = JudgingCriteria(priors([old for old, _ in ours]), share)
        found += [compare(old, new, terms) for old, new in ours]
    return SessionVerdict(found)
