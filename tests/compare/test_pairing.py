"""The correlation of a seed's two runs, from the rows that each got right."""

import random
from dataclasses import replace

import pytest
from make_results import make_seed_result

from pytest_ftcompare.compare.pairing import correlation, scores_by_key
from pytest_ftcompare.results.result import pack

ROWS = 400


def sample(seed, right, training_rows=None):
    base = make_seed_result(seed, sum(right) / len(right))
    return replace(
        base,
        training_rows=training_rows or f"subset-{seed}",
        correct={"test": pack(right), "ood": pack(right)},
    )


def runs(seeds, own=0.2, generator=None):
    """Runs that differ from a common answer on a share of rows, each on its own."""
    generator = generator or random.Random(0)
    return [[generator.random() > own for _ in range(ROWS)] for _ in range(seeds)]


def flipped(right, count, generator):
    found = list(right)
    for at in generator.sample(range(ROWS), count):
        found[at] = not found[at]
    return found


def test_the_same_answers_correlate_nearly_fully_but_not_quite():
    answers = runs(4)
    baseline = [sample(seed, right) for seed, right in enumerate(answers)]
    assert 0.98 < correlation(baseline, baseline[:2], "test") < 1


def test_answers_as_far_apart_as_other_seeds_do_not_correlate():
    baseline = [sample(seed, right) for seed, right in enumerate(runs(4))]
    others = [sample(seed, right) for seed, right in enumerate(runs(4, generator=random.Random(9)))]
    assert correlation(baseline, others, "test") == pytest.approx(0, abs=0.1)


def test_half_as_many_differences_as_between_seeds_are_a_correlation_of_a_half():
    generator = random.Random(3)
    answers = runs(6)
    baseline = [sample(seed, right) for seed, right in enumerate(answers)]
    between = 0.32 * ROWS  # two runs that err on a fifth of the rows each: 2 x 0.2 x 0.8
    new = [
        sample(seed, flipped(right, round(between / 2), generator))
        for seed, right in enumerate(answers)
    ]
    assert correlation(baseline, new, "test") == pytest.approx(0.5, abs=0.07)


def test_a_seed_that_drew_other_rows_is_no_pair():
    answers = runs(3)
    baseline = [sample(seed, right) for seed, right in enumerate(answers)]
    other = [sample(seed, right, training_rows="another") for seed, right in enumerate(answers)]
    assert correlation(baseline, other, "test") == 0
    assert not scores_by_key(baseline, "accuracy").keys() & scores_by_key(other, "accuracy").keys()


@pytest.mark.parametrize("seeds", [0, 1])
def test_with_fewer_than_two_seeds_nothing_is_paired(seeds):
    baseline = [sample(seed, right) for seed, right in enumerate(runs(seeds))]
    assert correlation(baseline, baseline, "test") == 0


def test_results_without_rows_are_not_paired():
    bare = [replace(sample(seed, right), correct={}) for seed, right in enumerate(runs(3))]
    assert correlation(bare, bare, "test") == 0
