"""The sequential test: its estimate, its error rates and its looks."""

import math
import random
from statistics import fmean, stdev

import numpy as np
import pytest

from pytest_ftcompare.compare.noise import VarianceEstimate
from pytest_ftcompare.compare.sequential_test import (
    EQUIVALENCE_MARGIN_SD,
    LOOKS,
    MIN_SEEDS_TO_REJECT,
    MIN_SHIFT,
    compare_scores,
    error_share,
    estimate_shift,
    next_look,
)

KNOWN = VarianceEstimate(0.03**2, 10.0)


def keys(values, first=0):
    return {(first + at, "rows"): value for at, value in enumerate(values)}


def drawn(generator, mean, count, size=0.03):
    return [generator.gauss(mean, size) for _ in range(count)]


def sequential(base, new, rho=0.0, share=1.0):
    """Look after look until it is settled; the last comparison."""
    for count in LOOKS:
        found = compare_scores(
            "accuracy",
            base,
            dict(list(new.items())[:count]),
            rho=rho,
            prior=KNOWN,
            alpha_share=share,
        )
        if found.outcome != "open":
            break
    return found


def test_without_pairing_the_shift_is_the_difference_of_means():
    mean, delta, variance = estimate_shift(keys([1.0, 2.0, 3.0]), keys([2.0, 4.0]), 0.0)
    assert (mean, delta, variance) == pytest.approx((2.0, 1.0, 1 / 3 + 1 / 2))


def test_with_all_paired_it_is_the_mean_difference_and_correlation_shrinks_its_variance():
    _, delta, variance = estimate_shift(keys([1.0, 2.0, 4.0]), keys([2.0, 4.0, 5.0]), 0.8)
    assert (delta, variance) == pytest.approx((4 / 3, 2 * (1 - 0.8) / 3))


def test_the_estimate_is_that_of_generalised_least_squares():
    # Two pairs, two seeds of the baseline alone, and one new seed alone.
    base, new, rho = [1.0, 2.5, 3.0, 0.5], [2.0, 2.0], 0.6
    covariance = np.eye(7)
    for at in range(2):
        covariance[at, 4 + at] = covariance[4 + at, at] = rho
    design = np.array([[1, 0]] * 4 + [[0, 1]] * 3)
    inverse = np.linalg.inv(covariance)
    information = np.linalg.inv(design.T @ inverse @ design)
    means = information @ design.T @ inverse @ np.array([*base, *new, 4.0])
    found = estimate_shift(keys(base), keys(new) | keys([4.0], first=9), rho)
    assert found == pytest.approx(
        (
            means[0],
            means[1] - means[0],
            information[0, 0] + information[1, 1] - 2 * information[0, 1],
        )
    )


def test_the_standard_error_is_that_of_simulated_pairs():
    generator, rho, found = random.Random(4), 0.7, []
    for _ in range(3000):
        common = drawn(generator, 0, 8, math.sqrt(rho))
        base = [one + generator.gauss(0, math.sqrt(1 - rho)) for one in common]
        new = [one + generator.gauss(0, math.sqrt(1 - rho)) for one in common[:3]]
        found.append(estimate_shift(keys(base), keys(new), rho))
    assert stdev(delta for _, delta, _ in found) == pytest.approx(math.sqrt(found[0][2]), rel=0.04)


def test_nothing_is_called_worse_before_it_is_confirmed():
    base = keys(drawn(random.Random(0), 0.8, 8))
    for count in range(1, 8):
        found = compare_scores("accuracy", base, keys([0.4] * count, first=20), rho=0, prior=KNOWN)
        assert found.outcome == ("worse" if count >= MIN_SEEDS_TO_REJECT else "open")


def test_seeds_since_the_look_before_must_confirm():
    base = keys(drawn(random.Random(0), 0.8, 8))
    suspected = [0.5, 0.5, 0.5]
    assert (
        compare_scores(
            "accuracy", base, keys([*suspected, 0.5, 0.5], 20), rho=0, prior=KNOWN
        ).outcome
        == "worse"
    )
    assert (
        compare_scores(
            "accuracy", base, keys([*suspected, 0.8, 0.8], 20), rho=0, prior=KNOWN
        ).outcome
        == "open"
    )


def test_a_gain_is_found_as_a_loss_is():
    base = keys(drawn(random.Random(0), 0.6, 8))
    assert sequential(base, keys([0.9] * 16, 20)).outcome == "better"


def test_a_shift_below_the_margin_is_never_worse():
    base = keys([0.8 + 1e-5 * at for at in range(8)])
    new = keys([0.8 + 1e-5 * at - 0.9 * MIN_SHIFT for at in range(16)], first=20)
    for count in LOOKS:
        one = compare_scores(
            "accuracy",
            base,
            dict(list(new.items())[:count]),
            rho=0,
            prior=VarianceEstimate(1e-10, 5.0),
        )
        assert one.outcome == "equivalent" and one.p < 1e-3


def test_equal_scores_without_any_noise_are_equivalent():
    found = compare_scores(
        "accuracy", keys([0.8] * 3), keys([0.8]), rho=0, prior=VarianceEstimate(0.0, 0.0)
    )
    assert (found.outcome, found.delta, found.p) == ("equivalent", 0.0, 0.5)


def test_runs_that_agree_on_nearly_all_rows_are_settled_with_one_seed():
    values = drawn(random.Random(5), 0.8, 8)
    found = compare_scores(
        "accuracy", keys(values), keys([values[0] - 0.0025]), rho=0.98, prior=KNOWN
    )
    assert (found.outcome, found.seeds) == ("equivalent", 1)
    assert (
        compare_scores(
            "accuracy", keys(values), keys([values[0] - 0.0025]), rho=0.0, prior=KNOWN
        ).outcome
        == "open"
    )


def test_the_margin_is_twice_the_noise_or_two_points():
    found = compare_scores(
        "accuracy", keys([0.8] * 8), keys([0.8]), rho=0, prior=VarianceEstimate(0.03**2, 1e6)
    )
    assert found.margin == pytest.approx(EQUIVALENCE_MARGIN_SD * 0.03, rel=1e-3)
    assert (
        compare_scores(
            "accuracy", keys([0.8] * 8), keys([0.8]), rho=0, prior=VarianceEstimate(1e-8, 1e6)
        ).margin
        == 2 * MIN_SHIFT
    )


@pytest.mark.parametrize(
    ("share", "most"), [(1.0, 6), (0.01, 0)]
)  # of 400, either way: twice ALPHA of them
def test_noise_alone_is_rarely_called_worse_and_soon_equivalent(share, most):
    generator, outcomes, seeds = random.Random(6), [], []
    for _ in range(400):
        found = sequential(
            keys(drawn(generator, 0.8, 8)), keys(drawn(generator, 0.8, 16), 20), share=share
        )
        outcomes.append(found.outcome)
        seeds.append(found.seeds)
    assert outcomes.count("worse") + outcomes.count("better") <= most
    assert outcomes.count("equivalent") >= 390 and fmean(seeds) < 7


def test_a_drop_of_three_times_the_noise_is_found_among_a_hundred_tests():
    generator = random.Random(7)
    found = [
        sequential(
            keys(drawn(generator, 0.8, 8)), keys(drawn(generator, 0.8 - 0.09, 16), 20), share=0.01
        ).outcome
        for _ in range(300)
    ]
    assert found.count("worse") >= 0.95 * 300


def test_looks_follow_each_other_to_the_limit():
    assert [next_look(count, 16) for count in (1, 2, 3, 8, 16)] == [2, 3, 5, 12, None]
    assert (next_look(3, 4), next_look(4, 4), next_look(0, 16)) == (4, None, 1)


def test_the_error_rate_is_shared_by_all_cases_and_metrics():
    assert error_share(50, ("accuracy", "accuracy_ood")) == 0.01
    assert error_share(0, ("accuracy",)) == 1
