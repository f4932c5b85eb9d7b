"""The session's verdict reaches exit status, summary and JUnit's file; no case is trained here."""

import xml.etree.ElementTree as ElementTree

import pytest

SUITE = """
import pytest

@pytest.mark.ftcompare(
    methods=("full", "lora", "bitfit", "adapter", "pbft", "icl"),
    tasks=("cola", "mnli"),
    shots=(16, 32),
)
def test_cases(gate):
    gate()
"""
CANNED = """
from dataclasses import replace
from pytest_ftcompare.gate import run_case
from pytest_ftcompare.plugin import gate_fixture
from pytest_ftcompare.compare.sequential_test import ScoreComparison
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.results.result import Result

DELTA = {delta}

def canned(case, settings, bench, opener, judged):
    assert judged == 24
    comparison = ScoreComparison(
        "accuracy", 0.8, 0.04, 0.8, 0.04, DELTA, 0.02, 0.04, 20.0, 0.6, 0.2, 0.12, 3, "equivalent"
    )
    result = Result(case.id, case.suite, case.identity(), "f", {{}}, {{}}, {{}}, {{}}, {{}})
    verdict = CaseVerdict(case.id, case.suite, "same", 3, [comparison])
    return run_case.CaseRun(verdict, result, "cpu")

gate_fixture.run_case = canned
"""


@pytest.fixture
def run(pytester):
    def run(delta, *arguments):
        pytester.makepyfile(test_canned=SUITE)
        pytester.makeconftest(CANNED.format(delta=delta))
        return pytester.runpytest_subprocess(
            "--benchmark-disable", "-p", "no:cacheprovider", *arguments
        )

    return run


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_loss_of_all_cases_fails_the_session_although_each_passes(run, pytester, workers):
    result = run(-0.02, "-n", workers, "--junitxml=report.xml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*All cases together: accuracy is 2.0 points lower on average over 24 cases*"]
    )
    result.stdout.fnmatch_lines(["FAILED ftcompare::session*", "*1 failed, 24 passed*"])
    cases = ElementTree.parse(pytester.path / "report.xml").iter("testcase")
    failed = [case for case in cases if case.find("failure") is not None]
    assert [(case.get("classname"), case.get("name")) for case in failed] == [
        ("ftcompare", "session")
    ]
    assert "points lower" in failed[0].find("failure").text


def test_a_gain_of_all_cases_is_reported_and_passes(run):
    result = run(0.02, "-n", "0")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*All cases together: better, accuracy is 2.0 points higher*"])


def test_without_a_shift_nothing_is_reported(run):
    result = run(0.0, "-n", "0")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*together*")
