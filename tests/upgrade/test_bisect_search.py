"""The first bad entry is found in every history, whatever cannot be tried."""

import math
import random

import pytest

from pytest_ftcompare.upgrade.search import bisect, sweep


def history(count, first_bad, skipped=(), other=()):
    """Return a function that answers for an entry, and the list of entries it was asked for."""
    asked = []

    def run(number):
        assert number not in asked
        asked.append(number)
        if number in skipped:
            return "skipped"
        if number in other:
            return "other"
        return "bad" if number >= first_bad else "good"

    return run, asked


@pytest.mark.parametrize("count", [2, 3, 5, 16, 100])
def test_each_first_bad_entry_is_found_by_halving(count):
    for first_bad in range(1, count):
        run, asked = history(count, first_bad)
        found = bisect(count, run)
        assert (found.last_good, found.first_bad) == (first_bad - 1, first_bad)
        assert found.untried == []
        assert len(asked) <= math.ceil(math.log2(count))


def test_fifty_histories_with_gaps_blame_no_entry_that_is_good():
    rng = random.Random(0)
    for _ in range(50):
        count = rng.randrange(3, 40)
        first_bad = rng.randrange(1, count)
        inner = list(range(1, count - 1))
        skipped = set(rng.sample(inner, rng.randrange(len(inner))))
        found = bisect(count, history(count, first_bad, skipped)[0])
        assert found.last_good < first_bad <= found.first_bad
        assert found.untried == list(range(found.last_good + 1, found.first_bad))
        assert set(found.untried) <= skipped


def test_another_failure_says_nothing_of_the_one_that_is_searched():
    found = bisect(8, history(8, 5, other={4, 5})[0])
    assert (found.last_good, found.first_bad, found.untried) == (3, 6, [4, 5])


def test_a_sweep_shows_what_is_out_of_order():
    states = ["good", "bad", "bad", "good", "good", "bad"]
    found = sweep(6, lambda number: states[number])
    assert (found.last_good, found.first_bad) == (4, 5)
    assert found.contradictions == [1, 2]
    assert sweep(4, history(4, 2)[0]).contradictions == []


def test_a_sweep_may_begin_with_a_bad_entry():
    states = ["bad", "good", "skipped", "bad"]
    found = sweep(4, states.__getitem__, "bad")
    assert found is not None
    assert (found.last_good, found.first_bad, found.contradictions) == (1, 3, [0])
    assert sweep(3, lambda number: "bad", "bad") is None
