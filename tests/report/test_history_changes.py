"""Test change points: constant and noisy series, accepted runs, and error rates."""

import numpy as np
import pytest

from pytest_ftcompare.report.history import change_points
from scripts import history_noise


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([0.5], []),
        ([0.5, 0.4], []),  # two runs do not say which of them is the rule
        ([0.5] * 4, []),
        ([0.5] * 4 + [0.5 + 1e-9], [4]),  # however small, and at the last run
        ([0.5] * 9 + [0.4] + [0.5] * 9, [9, 10]),
        ([1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3], [4, 8]),
        ([0.51, 0.52, 0.49, 0.50, 0.53, 0.48, 0.9], []),  # noisy and short
    ],
)
def test_any_move_of_a_constant_series_is_a_change(values, expected):
    assert change_points.find_changes(values) == expected


def noisy(*levels, seed=0):
    draws = np.random.default_rng(seed)
    return [level + 0.01 * float(draws.normal()) for level, count in levels for _ in range(count)]


def test_levels_are_found_in_noise_and_outliers_are_ignored():
    values = noisy((1.0, 20), (1.1, 20), (0.9, 10))
    values[5] = values[30] = 3.0
    assert change_points.find_changes(values) == [20, 40]
    assert change_points.find_changes(noisy((1.0, 50))) == []


def test_a_noisy_change_moves_to_an_accepted_run_beside_it_but_no_further():
    values = noisy((1.0, 20), (1.1, 20))
    for accepted, expected in ((21, 21), (19, 19), (22, 20), (17, 20)):
        assert change_points.find_changes(values, [index == accepted for index in range(40)]) == [
            expected
        ]
    still = [0.5] * 20 + [0.4] * 20
    assert change_points.find_changes(still, [index == 21 for index in range(40)]) == [20]


def test_a_change_is_accepted_if_a_run_of_its_level_was_accepted():
    flags = [False] * 12
    assert change_points.accepted_changes([4, 8], flags) == []
    flags[5] = True  # the night after
    assert change_points.accepted_changes([4, 8], flags) == [4]
    flags[8] = True
    assert change_points.accepted_changes([4, 8], flags) == [4, 8]


@pytest.mark.parametrize("noise", history_noise.NOISES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("length", [8, 50])
def test_false_alarms_are_rare(noise, length):
    assert history_noise.alarms(noise, length, series=200) <= 0.1


def test_shifts_are_found():
    assert history_noise.detections(history_noise.normal, 5.0, 5, series=100) > 0.9
    assert history_noise.detections(history_noise.spikes, 3.0, 20, series=100) > 0.8
    assert history_noise.detections(history_noise.normal, 0.0, 10, series=100) < 0.05
