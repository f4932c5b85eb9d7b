"""A failed case ends in the commands that come next."""

import pytest

from pytest_ftcompare.compare.environment_diff import Difference
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.report.failure import explain, search_options

PEFT = Difference("peft", "0.20.0", "0.21.2")


def bisect_command(*changes):
    verdict = CaseVerdict("lora-task-m-n16", "few_shot", "changed", 1, changes=list(changes))
    lines = list(explain(verdict, "test.py::test[lora]", " --ftcompare-hub=hub"))
    return [line.strip() for line in lines if "bisect" in line]


@pytest.mark.parametrize(
    "others", [(), (Difference("cpu", "a", "b"),), (Difference("commit", "1", "2"),)]
)
def test_a_library_that_moved_alone_can_be_bisected(others):
    assert bisect_command(PEFT, *others) == [
        "python -m pytest_ftcompare bisect --package peft --good 0.20.0 --bad 0.21.2 -- "
        "--ftcompare-hub=hub 'test.py::test[lora]'"
    ]


def test_several_libraries_are_told_apart_first():
    assert bisect_command(PEFT, Difference("torch", "2.12.0", "2.13.0")) == [
        'python -m pytest_ftcompare bisect --good "peft==0.20.0 torch==2.12.0" -- '
        "--ftcompare-hub=hub 'test.py::test[lora]'"
    ]


@pytest.mark.parametrize(
    "changes",
    [
        (),
        (Difference("peft", "0.20.0", "0.21.2 edited abc"),),
        (Difference("peft", "0.20.0", "not installed"),),
    ],
    ids=["nothing", "a checkout", "removed"],
)
def test_other_changes_have_no_release_to_find(changes):
    assert bisect_command(*changes) == []


def test_a_search_gets_only_the_options_that_it_takes():
    options = " --ftcompare-seeds=3 '--ftcompare-hub=/my hub' --ftcompare-reference=auto"
    assert search_options(options) == ["--ftcompare-hub=/my hub"]
