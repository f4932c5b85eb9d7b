"""Counts of one update: exact with the same libraries, within a margin with others."""

import pytest
from make_results import make_result

from pytest_ftcompare.compare.counted_cost import compare_counts
from pytest_ftcompare.compare.environment_diff import Difference

COUNTS = {"peak bytes": 1_000_000, "saved bytes": 500_000, "operations": 900, "flops": 10**9}
PEFT = Difference("peft", "0.20.0", "0.21.2")


def outcomes(changed, *changes):
    baseline = make_result([0.8], signature={"structure": {}, "execution": COUNTS})
    candidate = make_result([0.8], signature={"structure": {}, "execution": COUNTS | changed})
    return {one.metric: one.outcome for one in compare_counts(baseline, candidate, list(changes))}


def test_equal_counts_are_equivalent():
    assert set(outcomes({}).values()) == {"equivalent"}
    assert set(outcomes({"peak bytes": 0}).values()) == {"equivalent", "changed"}


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize(
    ("factor", "expected"), [(1.02, "worse"), (1.005, "changed"), (0.9, "changed")]
)
def test_any_difference_is_found_with_the_same_libraries(name, factor, expected):
    assert outcomes({name: COUNTS[name] * factor})[name] == expected


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(1.02, "worse"), (1.005, "equivalent"), (0.995, "equivalent"), (0.9, "better")],
)
def test_other_libraries_have_a_margin(factor, expected):
    assert outcomes({"peak bytes": COUNTS["peak bytes"] * factor}, PEFT)["peak bytes"] == expected


def test_more_operations_of_another_version_are_shown_not_judged():
    assert outcomes({"operations": 1000}, PEFT)["operations"] == "open"


def test_an_edit_of_the_projects_code_excuses_nothing():
    assert (
        outcomes({"peak bytes": 1_000_001}, Difference("methods/lora.py", "a", "b"))["peak bytes"]
        == "changed"
    )


def test_a_count_that_was_zero_and_grew_is_worse():
    baseline = make_result([0.8], signature={"structure": {}, "execution": {"state bytes": 0}})
    candidate = make_result([0.8], signature={"structure": {}, "execution": {"state bytes": 8}})
    assert [one.outcome for one in compare_counts(baseline, candidate, [])] == ["worse"]


def test_a_part_of_the_peak_explains_it_and_is_not_judged_by_itself():
    def outcome(*changes):
        baseline = make_result(
            [0.8], signature={"structure": {}, "execution": {"activations bytes": 100}}
        )
        candidate = make_result(
            [0.8], signature={"structure": {}, "execution": {"activations bytes": 150}}
        )
        return compare_counts(baseline, candidate, list(changes))[0].outcome

    assert (outcome(), outcome(PEFT)) == ("changed", "equivalent")


def test_two_zero_counts_are_equivalent():
    result = make_result([0.8], signature={"structure": {}, "execution": {"stray bytes": 0}})
    (found,) = compare_counts(result, result, [])
    assert (found.outcome, found.change) == ("equivalent", 0.0)
