"""The test of an outcome: what it finds, what it leaves alone, and how often it errs on noise."""

import random

import pytest

from pytest_ftcompare.compare.statistics import ALPHA, LOOKS, MARGIN, compare, noise, sd

BASE = [0.80, 0.82, 0.78, 0.81, 0.79, 0.80, 0.83, 0.77]


def pairs(shift, count=8, jitter=0.0, seed=1):
    rng = random.Random(seed)
    return [(base, base + shift + rng.gauss(0, jitter)) for base in BASE[:count]]


def test_a_drop_of_three_times_the_noise_is_worse():
    found = compare("accuracy", BASE, pairs(-3.2 * noise(BASE), jitter=0.005), alike=False)
    assert found.outcome == "worse"
    assert found.delta == pytest.approx(-3.2 * noise(BASE), abs=0.01)


def test_a_gain_of_three_times_the_noise_is_better():
    assert compare("accuracy", BASE, pairs(3.2 * noise(BASE), jitter=0.005), alike=False).outcome == "better"


def test_equal_scores_are_held():
    assert compare("accuracy", BASE, pairs(0.0), alike=False).outcome == "held"


def test_a_drop_within_the_margin_is_never_worse_however_significant():
    found = compare("accuracy", BASE, pairs(-0.035), alike=False)
    assert found.p < ALPHA / len(LOOKS) and found.margin > 0.035
    assert found.outcome != "worse"


def test_the_margin_is_at_most_half_of_what_there_is_to_lose():
    wide = [0.60, 0.80, 0.55, 0.75, 0.65, 0.85, 0.70, 0.58]
    assert compare("accuracy", wide, [(0.6, 0.6)], alike=True).margin > 0.15
    assert compare("accuracy", wide, [(0.6, 0.6)], alike=True, room=0.2).margin == 0.1
    assert compare("accuracy", wide, [(0.6, 0.6)], alike=True, room=-0.1).margin == MARGIN


def test_one_seed_never_calls_anything_worse():
    assert compare("accuracy", BASE, pairs(-0.3, count=1), alike=True).outcome == "open"


def test_a_computation_that_differs_must_show_that_it_is_no_worse_an_equivalent_one_need_not():
    scattered = [(0.80, 0.87), (0.82, 0.70), (0.78, 0.82)]
    assert compare("accuracy", BASE, scattered, alike=False).outcome == "open"
    assert compare("accuracy", BASE, scattered, alike=True).outcome == "held"


def test_noise_of_few_identical_scores_is_not_zero():
    assert noise([0.8, 0.8]) > 0
    assert sd([0.8]) == 0


@pytest.mark.parametrize("alike", [True, False])
def test_noise_alone_is_called_worse_in_under_one_percent_of_cases(alike):
    rng = random.Random(7)
    wrong = 0
    for _ in range(400):
        base = [rng.gauss(0.8, 0.03) for _ in range(8)]
        new = [rng.gauss(0.8, 0.03) for _ in range(8)]
        for count in LOOKS:
            found = compare("accuracy", base, list(zip(base, new, strict=True))[:count], alike=alike)
            if found.outcome != "open":
                break
        wrong += found.outcome == "worse"
    assert wrong <= 4


def test_a_drop_of_three_times_the_noise_is_found_in_nine_of_ten_cases_without_any_pairing():
    rng = random.Random(8)
    found = 0
    for _ in range(300):
        base = [rng.gauss(0.8, 0.03) for _ in range(8)]
        new = [rng.gauss(0.8 - 0.09, 0.03) for _ in range(8)]
        for count in LOOKS:
            outcome = compare("accuracy", base, list(zip(base, new, strict=True))[:count], alike=False).outcome
            if outcome in ("worse", "held"):
                break
        found += outcome == "worse"
    assert found >= 0.90 * 300
