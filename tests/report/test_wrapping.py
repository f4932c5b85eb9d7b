"""Lines on terminals of fewer than 80 columns, and of more."""

import pytest

from pytest_ftcompare.report.wrapping import fitted, wrapped

ROW = "lora                  82.7% ± 2.0  52.3% ± 1.6 -30.4 pt  (5 seeds)         worse"


@pytest.mark.parametrize("width", [80, 300])
def test_a_row_is_left_alone_where_there_is_room(width):
    assert fitted(ROW, width) == [ROW]


def test_a_narrow_terminal_breaks_a_row_between_columns_and_keeps_a_mean_with_its_spread():
    assert fitted(ROW, 40) == ["lora  82.7% ± 2.0  52.3% ± 1.6 -30.4 pt", "  (5 seeds)  worse"]
    assert fitted(ROW, 20) == [
        "lora  82.7% ± 2.0",
        "  52.3% ± 1.6",
        "  -30.4 pt",
        "  (5 seeds)  worse",
    ]


def test_a_footnote_keeps_its_indent():
    assert fitted("  first divergence: recipe lr 0.005 -> 0.05", 31) == [
        "  first divergence: recipe lr",
        "    0.005 -> 0.05",
    ]


def test_a_sentence_has_at_most_eighty_columns_on_a_wide_terminal_too():
    assert fitted("  note: " + "word " * 20, 300) == [
        "  note: " + "word " * 13 + "word",
        "    " + "word " * 5 + "word",
    ]


def test_lines_that_fit_and_empty_ones_stay_as_they_are():
    assert fitted("", 40) == [""]
    assert fitted("few_shot: pocket_cola       ", 40) == ["few_shot: pocket_cola       "]


def test_a_cases_name_stays_whole_to_be_copied():
    name = "context_distillation-pocket_mnli-opt-1.4m-n16-" + "x" * 60
    assert wrapped(f"  Cases: {name}, another.") == ["  Cases:", f"    {name},", "    another."]
    assert fitted(f"worse: {name}", 40) == ["worse:", f"  {name}"]
