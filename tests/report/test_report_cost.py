"""The table of costs: cases of one method are told apart by what is not in all of their ids."""

from pytest_ftcompare.compare.measured_cost import CostComparison
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.report.cost import NAME_WIDTH, table


def names(*ids):
    step = CostComparison("step", "s", 0.01, 0.01, 0.0, "yardsticks", "equivalent")
    return list(table([CaseVerdict(one, "s", "same", 1, costs=[step]) for one in ids]))[1:-1]


def test_one_case_of_a_method_is_called_by_its_method():
    (line,) = names("lora-pocket_cola-opt-1.4m-n64")
    assert line[:NAME_WIDTH].strip() == "lora"


def test_several_cases_of_a_method_are_called_by_what_differs():
    lines = names(
        "full-pocket_cola-opt-1.4m-n16",
        "lora-pocket_cola-opt-1.4m-n16",
        "lora-pocket_cola-opt-1.4m-n64-r=4",
    )
    assert [line[:NAME_WIDTH].strip() for line in lines] == ["full", "lora n16", "lora n64 r=4"]


def test_a_long_name_has_a_line_of_its_own():
    ids = (
        "lora-pocket_cola-opt-1.4m-n64-demonstrations=0-instruction=True",
        "lora-pocket_cola-opt-1.4m-n64",
    )
    short, long, row = names(*ids)
    assert short.startswith("lora  ")
    assert long == "lora demonstrations=0 instruction=True"
    assert not row[:NAME_WIDTH].strip()
    assert max(map(len, (short, long, row))) <= 80
