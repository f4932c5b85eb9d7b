"""The change in a noisy history is located with the stated probability, or told as not located."""

import math
import random

import pytest

from pytest_ftcompare.upgrade.noisy_search import (
    CONFIDENCE,
    MAX_REPEATS,
    ChangePoint,
    Measurement,
    combine,
    probability_of_bad,
    search,
)


class NoisyHistory:
    """Up to 40 entries with one change, with gaps, and with differences of each entry's own."""

    def __init__(self, rng, understated=1.0):
        self.rng = rng
        self.count = rng.randrange(3, 41)
        self.first_bad = rng.randrange(1, self.count)
        self.change = rng.uniform(0.05, 0.3)
        self.error = rng.uniform(0.005, 0.02)
        self.understated = understated
        inner = range(1, self.count - 1)
        self.gaps = set(rng.sample(inner, rng.randrange(len(inner) // 2 + 1)))
        self.own = [rng.gauss(0, 0.1 * self.change) for _ in range(self.count)]
        self.runs = 0

    def measure(self, number):
        if number in self.gaps:
            return None
        self.runs += 1
        value = self.change * (number >= self.first_bad) + self.own[number]
        return Measurement(value + self.rng.gauss(0, self.error * self.understated), self.error)

    def search(self):
        points = ChangePoint(self.count)
        for number in (0, self.count - 1):
            points.add(number, self.measure(number))
        return search(points, self.measure, MAX_REPEATS)

    def is_right(self, located):
        return located.last_good < self.first_bad <= located.first_bad


def outcomes(seed, histories, understated=1.0):
    rng = random.Random(seed)
    found = []
    for _ in range(histories):
        history = NoisyHistory(rng, understated)
        located = history.search()
        found.append((located.settled, history.is_right(located)))
    return found


def test_fifty_noisy_histories_blame_no_more_entries_than_stated():
    """The same numbers each time: none of the 50 names a wrong entry."""
    found = outcomes(seed=0, histories=50)
    assert sum(settled and not right for settled, right in found) == 0
    assert sum(settled for settled, _ in found) >= 48


@pytest.mark.parametrize("understated", [1.0, 1.5])
def test_the_share_of_wrong_answers_stays_below_what_the_probability_allows(understated):
    """Also if the errors are half as large again as the measurements say."""
    found = outcomes(seed=1, histories=500, understated=understated)
    wrong = sum(settled and not right for settled, right in found)
    assert wrong / sum(settled for settled, _ in found) <= 1 - CONFIDENCE


def located(values, repeats=1, skipped=()):
    points = ChangePoint(len(values))
    for number in (0, len(values) - 1):
        points.add(number, Measurement(values[number], 0.01))
    return search(
        points,
        lambda number: None if number in skipped else Measurement(values[number], 0.01),
        repeats,
    )


def test_each_place_is_found_and_takes_few_runs():
    for first_bad in range(1, 32):
        found = located([0.2 * (number >= first_bad) for number in range(32)])
        assert found.settled
        assert (found.last_good, found.first_bad) == (first_bad - 1, first_bad)
        assert len(found.measured) <= 2 + 5


def test_a_gap_lies_between_the_answers_entries():
    found = located([0, 0, 0.2, 0.2, 0.2], skipped={1, 2})
    assert (found.last_good, found.first_bad, found.settled) == (0, 3, True)


def test_an_entry_between_both_states_settles_nothing():
    assert not located([0, 0.1, 0.2]).settled


def test_entries_that_fit_neither_state_are_told():
    assert located([0, 0, 0.9, 0.2, 0.2]).unfit == [2]
    assert located([0, 0, 0.2, 0.2, 0.2]).unfit == []


def test_repetition_sharpens_what_is_uncertain():
    rng = random.Random(3)
    points = ChangePoint(3)
    truth = [0, 0.1, 0.1]
    for number in (0, 2):
        points.add(number, Measurement(truth[number], 0.02))
    asked = []

    def measure(number):
        asked.append(number)
        return Measurement(0.055 if len(asked) == 1 else truth[number] + rng.gauss(0, 0.02), 0.03)

    assert search(points, measure, MAX_REPEATS).first_bad == 1
    assert len(asked) > 1


def test_an_exact_measurement_outweighs_noisy_ones():
    assert combine([Measurement(0.0, 0.0), Measurement(0.3, 0.1)]).change == pytest.approx(0)
    mean = combine([Measurement(0.1, 0.1), Measurement(0.3, 0.1)])
    assert mean == pytest.approx((0.2, 0.1 / 2**0.5))


def test_a_state_is_as_probable_as_it_is_near():
    bad = Measurement(0.2, 0.01)
    assert probability_of_bad(Measurement(0.1, 0.01), bad) == pytest.approx(0.5)
    assert probability_of_bad(Measurement(0.2, 0.01), bad) > 0.99
    assert probability_of_bad(Measurement(-9.0, 0.0), bad) == pytest.approx(0, abs=1e-9)


def test_an_entry_that_cannot_be_measured_again_keeps_what_it_measured():
    points = ChangePoint(4)
    for number, value in ((0, 0.0), (3, 0.2)):
        points.add(number, Measurement(value, 0.08))
    answers = {1: [Measurement(0.02, 0.08)], 2: [Measurement(0.19, 0.08)]}
    found = search(points, lambda n: answers[n].pop() if answers[n] else None, MAX_REPEATS)
    assert points.skipped == set()
    assert set(found.measured) == {0, 1, 2, 3}


def test_the_probabilities_are_those_of_the_model_by_brute_force():
    """Sum the density over a grid of common changes, which the code integrates in closed form."""
    points = ChangePoint(5)
    values = ((0, 0.0, 0.01), (1, 0.02, 0.05), (2, 0.07, 0.06), (3, 0.12, 0.04), (4, 0.1, 0.02))
    for number, change, error in values:
        points.add(number, Measurement(change, error))
    means = points.means()

    def density(first_bad, common):
        squares = [
            ((mean.change - common * (number >= first_bad)) / mean.error) ** 2
            for number, mean in means.items()
        ]
        return math.exp(-sum(squares) / 2)

    grid = [step / 10_000 for step in range(-10_000, 10_000)]
    sums = [sum(density(first_bad, common) for common in grid) for first_bad in range(1, 5)]
    expected = [0.0, *(value / sum(sums) for value in sums)]
    assert points.probabilities() == pytest.approx(expected, rel=1e-6)
