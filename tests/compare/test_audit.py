"""Audits: each trap of the published study is refused, a sound result is not."""

from dataclasses import replace

import pytest
from results import make_result, make_sample

from pytest_ftcompare.compare import audit

GOOD = make_result([0.80, 0.82, 0.78])


def test_a_sound_result_passes():
    assert list(audit.sound(GOOD)) == []
    assert list(audit.judgeable(GOOD)) == []


def test_seeds_that_drew_the_same_rows_are_refused():
    twice = [make_sample(0, 0.8), replace(make_sample(1, 0.8), subset="subset-0")]
    assert next(audit.sound(make_result([], samples=twice))).startswith("repeated samples: seeds 0 and 1")


def test_a_metric_that_is_not_finite_is_refused():
    bad = replace(make_sample(0, 0.8), metrics={"accuracy": 0.8, "accuracy_ood": 0.6, "loss": float("nan")})
    assert next(audit.sound(make_result([], samples=[bad]))).startswith("not finite: loss of seed 0")


def test_a_constant_predictor_is_refused():
    bad = replace(make_sample(0, 0.8), predicted={"test": [200, 0], "ood": [100, 100]})
    samples = [bad, make_sample(1, 0.79), make_sample(2, 0.81)]
    assert next(audit.judgeable(make_result([], samples=samples))).startswith("constant predictor: seed 0")


def test_seeds_right_on_exactly_the_same_rows_are_refused():
    same = [replace(make_sample(seed, 0.8), correct=make_sample(0, 0.8).correct) for seed in range(3)]
    assert next(audit.judgeable(make_result([], samples=same))).startswith("repeated outcomes: all 3 seeds")


@pytest.mark.parametrize("accuracy", [0.51, 0.985])
def test_no_headroom_is_refused_at_chance_and_at_the_ceiling(accuracy):
    assert "no headroom" in " ".join(audit.judgeable(make_result([accuracy, accuracy + 0.005, accuracy])))


def test_a_baseline_of_two_seeds_is_refused():
    assert next(audit.judgeable(make_result([0.8, 0.79]))).startswith("too few seeds: 2 of at least 3")


def test_a_case_whose_outcome_is_not_judged_needs_no_headroom():
    assert list(audit.judgeable(make_result([0.5, 0.5], outcome=False))) == []
