"""Noise: how the cases of a suite share it, and when they are too few."""

import math
import random
from statistics import fmean

import pytest
from make_results import make_result

from pytest_ftcompare.compare.noise import (
    DEFAULT_PRIOR,
    MAX_PRIOR_FREEDOM,
    MIN_PRIOR_CASES,
    VarianceEstimate,
    estimate_variance,
    fit_prior,
    fit_priors,
    sd,
)


def scores(generator, size, count=8):
    return [generator.gauss(0.8, size) for _ in range(count)]


def test_a_variance_is_the_sample_variance_and_a_single_value_has_none():
    assert estimate_variance([1.0, 2.0, 3.0]) == VarianceEstimate(1.0, 2.0)
    assert estimate_variance([0.5]) == VarianceEstimate(0.0, 0.0)
    assert (sd([0.5]), sd([1.0, 3.0])) == (0.0, math.sqrt(2))


def test_variances_combine_by_their_degrees_of_freedom():
    assert VarianceEstimate(1.0, 1.0).combined(VarianceEstimate(4.0, 3.0)) == VarianceEstimate(
        3.25, 4.0
    )
    assert VarianceEstimate(1.0, 4.0).combined(VarianceEstimate(0.0, 0.0)) == VarianceEstimate(
        1.0, 4.0
    )


def test_cases_of_equal_noise_make_a_prior_that_weighs_much():
    generator = random.Random(0)
    found = fit_prior(estimate_variance(scores(generator, 0.03)) for _ in range(60))
    assert found.variance == pytest.approx(0.03**2, rel=0.15)
    assert found.freedom > 20


def test_cases_of_different_noise_make_a_prior_that_weighs_little():
    generator = random.Random(1)
    found = fit_prior(
        estimate_variance(scores(generator, 0.002 * 2**step))
        for step in range(6)
        for _ in range(10)
    )
    assert found.freedom < 3


def test_the_prior_recovers_the_distribution_of_the_variances():
    generator = random.Random(2)
    weight, variance = 6.0, 0.04**2

    def drawn():  # a scaled inverse chi-square variance, then eight scores of it
        size = math.sqrt(variance * weight / generator.gammavariate(weight / 2, 2))
        return estimate_variance(scores(generator, size))

    found = [fit_prior(drawn() for _ in range(60)) for _ in range(30)]
    assert fmean(one.freedom for one in found) == pytest.approx(weight, rel=0.25)
    assert fmean(one.variance for one in found) == pytest.approx(variance, rel=0.1)


def test_few_cases_give_the_default_prior_and_equal_ones_do_not_raise():
    assert fit_prior([VarianceEstimate(0.01, 7.0)] * (MIN_PRIOR_CASES - 1)) == DEFAULT_PRIOR
    assert fit_prior([VarianceEstimate(0.0, 7.0)] * 20) == DEFAULT_PRIOR
    assert fit_prior([VarianceEstimate(0.01, 7.0)] * MIN_PRIOR_CASES).freedom == MAX_PRIOR_FREEDOM


def test_cases_without_judged_accuracy_do_not_count():
    generator = random.Random(3)
    judged = [make_result(scores(generator, 0.02)) for _ in range(MIN_PRIOR_CASES)]
    shown = [make_result(scores(generator, 0.2), judge_accuracy=False) for _ in range(20)]
    assert fit_priors([*judged, *shown]) == fit_priors(judged)
