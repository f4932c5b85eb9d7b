"""Results as JSON: exact, stable, small."""

import pytest
from make_results import make_result

from pytest_ftcompare.results.result import Result, ResultError, pack, rounded, unpack


@pytest.mark.parametrize("bits", [[], [True], [False] * 9, [True, False] * 200])
def test_packed_bits_come_back(bits):
    assert unpack(pack(bits)) == bits


def test_four_hundred_bits_take_seventy_characters():
    assert len(pack([True, False] * 200)) < 70


def test_a_result_reads_back_equal_and_writes_the_same_text_again():
    result = make_result([0.8, 0.7])
    text = result.to_json()
    assert Result.from_json(text) == result
    assert Result.from_json(text).to_json() == text


def test_keys_are_sorted_and_lists_of_numbers_stay_on_one_line():
    lines = make_result([0.8]).to_json().splitlines()
    assert ' "outputs": [[0.1, 0.2], [0.3, -0.4]],' in [line[1:] for line in lines]
    top = [line.split('"')[1] for line in lines if line.startswith(' "')]
    assert top == sorted(top)


def test_floats_are_rounded_to_seven_digits():
    assert rounded(0.123456789) == 0.1234568


def test_bits_that_are_not_base64_are_not_a_result():
    text = make_result([0.8]).to_json()
    bits = make_result([0.8]).seed_results[0].correct["test"]
    with pytest.raises(ResultError):
        Result.from_json(text.replace(bits, "***"))
