"""Every format calls a case `identical` if it did not differ in a bit, and shows no estimate."""

from dataclasses import replace

import pytest
from documents import make_case, make_document

from pytest_ftcompare.compare.sequential_test import ScoreComparison
from pytest_ftcompare.compare.session_verdict import SessionVerdict
from pytest_ftcompare.compare.verdict import IDENTICAL, CaseVerdict
from pytest_ftcompare.report import (
    compare_command,
    failure,
    github,
    junit,
    markdown,
    terminal,
    wording,
)
from pytest_ftcompare.report.page import contents, render
from pytest_ftcompare.results.result_folders import Pairs

ESTIMATED = ScoreComparison(
    "accuracy", 0.8, 0.02, 0.801, 0.02, 0.001, 0.006, 0.02, 14.0, 0.5, 0.44, 0.02, 1, "open"
)
# Dearer than its baseline and so a failure, though it computes the same.
CASE = CaseVerdict("lora-t-m-n16", "few_shot", "worse", 1, [ESTIMATED], notes=[IDENTICAL])
SHIFT = ("+0.1 pt", "0.44", "80.1%", "80.1 %")


def document():
    """Return the document of an identical case that still holds the estimate of its one seed."""
    told = make_case("worse")["comparisons"][0] | {
        "base": 0.8,
        "new": 0.801,
        "delta": 0.001,
        "p": 0.44,
        "outcome": "worse",
    }
    case = make_case("worse", notes=[IDENTICAL], comparisons=[told], identical=True)
    return make_document(0, counts={"worse": 1}, failed=True) | {"cases": [case]}


RENDERED = {
    "failure text": lambda: "\n".join(failure.explain(CASE, "test.py::test")),
    "row of the summary": lambda: terminal._row(CASE),
    "command compare": lambda: "\n".join(
        compare_command.lines(SessionVerdict([CASE]), Pairs([], [], []))
    ),
    "Markdown": lambda: markdown.render(document()),
    "annotation": lambda: "\n".join(github.annotations(document())),
    "banner of the page": lambda: contents.main_change(document()["cases"][0]),
    "changes of a document": lambda: "; ".join(
        wording.case_changes(wording.case_of(document()["cases"][0]))
    ),
    "table of the page": lambda: (
        render.render(document()).partition('id="table"')[2].partition("</table>")[0]
    ),
}


@pytest.mark.parametrize("where", RENDERED)
def test_an_identical_case_is_called_so_and_no_shift_of_it_is_shown(where):
    text = RENDERED[where]()
    assert "identical" in text
    assert not [one for one in SHIFT if one in text]


def test_the_same_case_that_did_not_repeat_has_its_shift():
    assert "+0.1 pt ± 0.6 (p=0.44, 1 seed)" in "\n".join(
        failure.explain(replace(CASE, notes=[]), "test.py::test")
    )


def test_what_reports_hold_of_an_identical_case_has_no_shift():
    (found,) = wording.shown_comparisons(CASE)
    assert (found.new, found.delta, found.error) == (found.base, 0.0, 0.0)
    assert wording.shown_comparisons(replace(CASE, notes=[])) == [ESTIMATED]


def test_an_identical_case_has_no_p_among_its_properties():
    assert junit.properties(CASE)[3:] == [
        ("identical", "1"),
        ("accuracy baseline", "0.8"),
        ("accuracy delta", "0"),
    ]
