"""Audits refuse each trap of the published study and pass a valid result."""

import math
from dataclasses import replace

import pytest
from make_results import make_result, make_seed_result

from pytest_ftcompare.compare import audit
from pytest_ftcompare.results.result import Trace

GOOD = make_result([0.80, 0.82, 0.78])


def test_a_valid_result_passes():
    assert list(audit.audit_validity(GOOD)) == []
    assert list(audit.audit_headroom(GOOD)) == []


def test_seeds_that_drew_the_same_rows_are_refused():
    twice = [make_seed_result(0, 0.8), replace(make_seed_result(1, 0.8), training_rows="subset-0")]
    assert next(audit.audit_validity(make_result([], seed_results=twice))).startswith(
        "repeated samples: seeds 0 and 1"
    )


def test_seeds_that_drew_other_rows_and_trained_on_the_same_are_refused():
    one, other = make_seed_result(0, 0.8), make_seed_result(1, 0.8)
    samples = [one, replace(other, trace=one.trace)]
    assert "seeds 0 and 1 drew other rows and trained alike" in next(
        audit.audit_validity(make_result([], seed_results=samples))
    )


def test_seeds_of_an_untrained_method_are_not_compared_by_trace():
    empty = Trace("of no steps", [], [])
    samples = [replace(make_seed_result(seed, 0.8), trace=empty) for seed in range(3)]
    assert list(audit.audit_validity(make_result([], seed_results=samples))) == []


@pytest.mark.parametrize(
    "trace",
    [Trace("d", [[0.7, 1.0], [math.nan, 1.0]], [0.7]), Trace("d", [[0.7, 1.0]], [0.7, math.inf])],
)
def test_a_loss_that_is_not_finite_is_refused_at_any_step(trace):
    refused = next(
        audit.audit_validity(
            make_result([], seed_results=[replace(make_seed_result(3, 0.8), trace=trace)])
        )
    )
    assert refused.startswith(
        (
            "not finite: loss at step 2 of seed 3 is nan",
            "not finite: block 2 of the loss curve of seed 3",
        )
    )


def test_a_metric_that_is_not_finite_is_refused():
    bad = replace(
        make_seed_result(0, 0.8),
        metrics={"accuracy": 0.8, "accuracy_ood": 0.6, "loss": float("nan")},
    )
    assert next(audit.audit_validity(make_result([], seed_results=[bad]))).startswith(
        "not finite: loss of seed 0"
    )


def test_a_broken_invariant_is_refused():
    assert list(
        audit.audit_validity(
            replace(
                GOOD,
                broken_invariants=["score.weight is declared to train, it received no gradient"],
            )
        )
    ) == ["invariant: score.weight is declared to train, it received no gradient"]


def test_a_constant_predictor_is_refused():
    bad = replace(make_seed_result(0, 0.8), class_counts={"test": [200, 0], "ood": [100, 100]})
    samples = [bad, make_seed_result(1, 0.79), make_seed_result(2, 0.81)]
    assert next(audit.audit_headroom(make_result([], seed_results=samples))).startswith(
        "constant predictor: seed 0"
    )


def test_seeds_right_on_exactly_the_same_rows_are_refused():
    same = [
        replace(make_seed_result(seed, 0.8), correct=make_seed_result(0, 0.8).correct)
        for seed in range(3)
    ]
    assert next(audit.audit_headroom(make_result([], seed_results=same))).startswith(
        "repeated outcomes: all 3 seeds"
    )


def test_nine_equal_seeds_of_ten_are_refused():
    first, last = make_seed_result(0, 0.8), make_seed_result(9, 0.8)
    runs = [
        *(replace(make_seed_result(seed, 0.8), correct=first.correct) for seed in range(9)),
        last,
    ]
    assert next(audit.audit_headroom(make_result([], seed_results=runs))).startswith(
        "repeated outcomes: 10 seeds have only 2 different outcomes"
    )


def test_two_seeds_of_eight_may_be_right_on_the_same_rows():
    seeds = [make_seed_result(seed, 0.8) for seed in range(8)]
    seeds[5] = replace(seeds[5], correct=seeds[0].correct)
    assert list(audit.audit_headroom(make_result([], seed_results=seeds))) == []


def test_an_accuracy_below_the_majority_class_is_refused():
    result = make_result([0.67, 0.68, 0.66], majority_share={"test": 0.686, "ood": 0.686})
    assert next(audit.audit_headroom(result)).startswith(
        "below majority, no headroom: accuracy 67.0% is not above 68.6%"
    )


@pytest.mark.parametrize("accuracy", [0.51, 0.985])
def test_no_headroom_is_refused_at_chance_and_at_the_ceiling(accuracy):
    assert "no headroom" in " ".join(
        audit.audit_headroom(make_result([accuracy, accuracy + 0.005, accuracy]))
    )


def test_a_baseline_of_two_seeds_is_refused():
    assert next(audit.audit_headroom(make_result([0.8, 0.79]))).startswith(
        "too few seeds: 2 of at least 3"
    )


def test_a_case_without_judged_accuracy_needs_no_headroom_and_may_be_constant():
    assert list(audit.audit_headroom(make_result([0.5, 0.5], judge_accuracy=False))) == []
    constant = [
        replace(make_seed_result(seed, 0.5), class_counts={"test": [200, 0], "ood": [200, 0]})
        for seed in range(3)
    ]
    assert (
        list(audit.audit_headroom(make_result([], seed_results=constant, judge_accuracy=False)))
        == []
    )
    assert (
        list(audit.audit_remarks(make_result([], seed_results=constant, judge_accuracy=False)))
        == []
    )


def test_a_case_without_judged_accuracy_must_be_valid():
    twice = [make_seed_result(0, 0.5), replace(make_seed_result(1, 0.5), training_rows="subset-0")]
    assert list(audit.audit_validity(make_result([], seed_results=twice, judge_accuracy=False)))


def test_gained_headroom_is_a_remark():
    assert next(audit.audit_remarks(replace(GOOD, judge_accuracy=False))).startswith(
        "gained headroom: it is declared judge_accuracy=False"
    )
    assert list(audit.audit_remarks(GOOD)) == []
    assert list(audit.audit_remarks(make_result([0.52, 0.51, 0.53], judge_accuracy=False))) == []
