"""Reasons that differ only in a share of time."""

from pytest_ftcompare.report.cost import merge_percentages

WAITED = "others had this worker's cores for {}% of the time"


def test_reasons_that_differ_in_a_share_are_one_with_its_range():
    found = merge_percentages(
        [WAITED.format(12), WAITED.format(3), WAITED.format(7), "pytest-benchmark is off"]
    )
    assert set(found.values()) == {
        "others had this worker's cores for 3 to 12% of the time",
        "pytest-benchmark is off",
    }


def test_reasons_that_are_the_same_stay_as_they_are():
    assert merge_percentages([WAITED.format(7)] * 2) == {WAITED.format(7): WAITED.format(7)}


def test_numbers_that_are_no_shares_tell_reasons_apart():
    assert len(set(merge_percentages(["torch 2.12", "torch 2.13"]).values())) == 2
    assert merge_percentages([]) == {}
