"""An update keeps the noise of earlier scores, never twice, and windows of the same work."""

import random
from dataclasses import replace

import pytest
from make_results import make_result, make_seed_result

from pytest_ftcompare.compare.noise_carryover import (
    MAX_BASELINE_WINDOWS,
    MAX_CARRIED_FREEDOM,
    carry_over_noise,
)
from pytest_ftcompare.results.result import Result, Window


def result(scores, seeds=None, **changes):
    """A result with a trace of its own for each score."""
    numbered = zip(seeds or range(len(scores)), scores, strict=True)
    samples = [make_seed_result(seed, score, trace=f"trace-{score}") for seed, score in numbered]
    return make_result([], seed_results=samples, **changes)


def drawn(number, count=8, sd=0.02):
    generator = random.Random(number)
    return [round(generator.gauss(0.8, sd), 4) for _ in range(count)]


def windows(process, count=3, **changes):
    return [Window({"step": [0.01, 2.5]}, process=process, **changes) for _ in range(count)]


def carried(found):
    return found.noise.get("accuracy", {"squares": 0.0, "freedom": 0})


FIRST, SECOND = result(drawn(1)), result(drawn(2))


def test_the_first_baseline_carries_over_nothing():
    assert carry_over_noise(None, FIRST) == FIRST


def test_the_noise_of_independent_seeds_is_kept_in_full():
    second = result(drawn(2), seeds=range(10, 18))  # of other seeds
    squares = sum((one - sum(drawn(1)) / 8) ** 2 for one in drawn(1))
    found = carried(carry_over_noise(FIRST, second))
    assert found["freedom"] == 7
    assert found["squares"] == pytest.approx(squares, rel=1e-5)


def test_a_mean_that_moves_keeps_the_noise():
    moved = result([one - 0.3 for one in drawn(2)])
    assert carried(carry_over_noise(FIRST, moved)) == pytest.approx(
        carried(carry_over_noise(FIRST, SECOND)), rel=1e-5
    )
    assert carried(carry_over_noise(FIRST, moved))["freedom"] > 0


def test_identical_results_add_and_lose_no_noise():
    second = carry_over_noise(FIRST, SECOND)
    assert carry_over_noise(FIRST, FIRST).noise == {}
    assert carry_over_noise(second, SECOND).noise == second.noise


@pytest.mark.parametrize("count", [3, 5])
def test_more_seeds_of_the_same_training_add_no_noise(count):
    fewer = result(drawn(1)[:count])
    assert carry_over_noise(fewer, FIRST).noise == {}


def test_fewer_seeds_of_the_same_training_keep_the_noise_of_the_others():
    found = carried(carry_over_noise(FIRST, result(drawn(1)[:3])))
    assert 0 < found["freedom"] <= 4


def test_scores_that_follow_the_old_ones_seed_by_seed_add_little():
    nearly = result([one + (-1) ** number * 0.0005 for number, one in enumerate(drawn(1))])
    assert carried(carry_over_noise(FIRST, nearly))["freedom"] == 0
    shuffled = result([drawn(1)[number] for number in (3, 0, 6, 1, 7, 2, 5, 4)])
    assert carried(carry_over_noise(FIRST, shuffled))["freedom"] > 0


def test_a_change_that_is_taken_back_counts_no_seed_twice():
    second = carry_over_noise(FIRST, SECOND)
    back = carry_over_noise(second, FIRST)
    assert carried(back)["freedom"] <= 7
    assert back.noise == carry_over_noise(SECOND, FIRST).noise


def test_a_changed_variance_is_not_carried_over():
    assert "accuracy" not in carry_over_noise(FIRST, result(drawn(3, sd=0.1))).noise
    assert "accuracy" not in carry_over_noise(FIRST, result([0.8] * 8)).noise


def test_equal_noise_is_seldom_called_changed():
    dropped = sum(
        "accuracy"
        not in carry_over_noise(result(drawn(n)), result(drawn(n + 500), range(10, 18))).noise
        for n in range(500)
    )
    assert dropped <= 15  # 1 % of 500, and three standard errors


def test_another_experiment_carries_over_nothing():
    second = carry_over_noise(FIRST, SECOND)
    assert carry_over_noise(second, result(drawn(3), fingerprint="another")).noise == {}


def test_old_noise_gives_way_to_new():
    found = FIRST
    for number in range(2, 12):
        found = carry_over_noise(
            found, result(drawn(number), seeds=range(10 * number, 10 * number + 8))
        )
        assert carried(found)["freedom"] <= MAX_CARRIED_FREEDOM
    assert carried(found)["freedom"] == MAX_CARRIED_FREEDOM
    assert carried(found)["squares"] / MAX_CARRIED_FREEDOM == pytest.approx(0.02**2, rel=0.6)


def test_noise_reads_back_equal_and_older_files_have_none():
    found = carry_over_noise(FIRST, SECOND)
    assert found.noise
    assert Result.from_json(found.to_json()) == found
    text = FIRST.to_json().replace(' "noise": {},\n', "").replace(' "noise_from": [],\n', "")
    assert '"noise"' not in text
    assert '"noise_from"' not in text
    assert Result.from_json(text) == FIRST


def test_windows_of_the_same_work_are_kept_the_newest():
    found = replace(FIRST, windows=windows("a"))
    for process in ("b", "c", "d"):
        found = carry_over_noise(found, replace(FIRST, windows=windows(process)))
    assert [one.process for one in found.windows] == ["b"] * 3 + ["c"] * 3 + ["d"] * 3
    assert len(found.windows) == MAX_BASELINE_WINDOWS


def test_another_commit_alone_changes_no_windows():
    old = replace(FIRST, windows=windows("a"))
    new = replace(FIRST, windows=windows("b"), environment={**FIRST.environment, "commit": "2"})
    assert len(carry_over_noise(old, new).windows) == 6


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": {**FIRST.environment, "torch": "2.14.0"}},
        {"environment": {**FIRST.environment, "cpu": "another"}},
        {"environment": {**FIRST.environment, "methods/full.py": "b"}},
        {"seed_results": SECOND.seed_results},
        {"signature": {**FIRST.signature, "execution": {"operations": 7}}},
        {"fingerprint": "another"},
    ],
    ids=["torch", "cpu", "code", "seed_results", "counts", "experiment"],
)
def test_windows_of_other_work_are_not_kept(changes):
    new = replace(FIRST, windows=windows("b"), **changes)
    assert carry_over_noise(replace(FIRST, windows=windows("a")), new).windows == new.windows


def test_disturbed_windows_and_those_at_another_power_limit_are_not_kept():
    old = [
        *windows("a", 1, disturbed="throttled"),
        *windows("b", 1, device_state={"power_limit": 300.0}),
        *windows("c", 1),
    ]
    found = carry_over_noise(replace(FIRST, windows=old), replace(FIRST, windows=windows("d", 1)))
    assert [one.process for one in found.windows] == ["c", "d"]


def test_a_case_that_is_no_longer_timed_keeps_no_windows():
    assert carry_over_noise(replace(FIRST, windows=windows("a")), FIRST).windows == []
