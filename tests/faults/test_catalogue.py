"""Test the catalogue: each fault has a description, existing cases, and a target that exists."""

from __future__ import annotations

import json
import re

import pytest

from . import BENIGN, FAULTS, page, run
from .change import PATCH_ERRORS, UNDO, Case, patch, undo
from .rings import rings_of
from .traincheck_reports import REPORTS

ALL = FAULTS | BENIGN
LINK = re.compile(
    r"https://(github\.com/[\w.-]+/[\w.-]+/(issues|pull)/\d+"
    r"|stackoverflow\.com/questions/\d+/[\w-]+|discuss\.pytorch\.org/t/[\w-]+/\d+)"
)
# Benign changes that patch nothing.
UNPATCHED = {"upgrade_without_a_fault", "two_threads", "another_instruction_set"}


@pytest.fixture(autouse=True)
def restored():
    yield
    undo()


@pytest.mark.parametrize("change", ALL.values(), ids=lambda one: one.name)
def test_a_change_has_a_description_of_one_sentence(change):
    assert change.description.endswith(".") and len(change.description) < 140
    assert change.area
    assert change.cases or change.checks
    assert len(change.cases) <= 3 and len(change.checks) <= 3
    assert change.upstream == "" or LINK.fullmatch(change.upstream)


def test_there_are_at_least_forty_faults_and_twenty_of_them_were_bugs_of_libraries():
    assert len(FAULTS) >= 40
    assert len({one.upstream for one in FAULTS.values()} - {""}) >= 20


@pytest.mark.parametrize(
    "change", [one for one in ALL.values() if one.name not in UNPATCHED], ids=lambda one: one.name
)
def test_a_change_patches_something_that_exists_and_can_be_undone(change):
    change.apply()
    patched = list(UNDO)
    assert patched
    undo()
    for owner, name, before in patched:
        assert vars(owner).get(name, getattr(owner, name)) is before


def test_every_case_and_check_of_the_catalogue_is_collected(pytester, tmp_path):
    run.write_suite(tmp_path)
    nodes = sorted(
        {run.node(case, tmp_path) for one in ALL.values() for case in one.cases}
        | {run.check_node(check) for one in ALL.values() for check in one.checks}
    )
    places = [
        f"--rootdir={run.ROOT}",
        "-c",
        str(run.ROOT / "pyproject.toml"),
        "-p",
        "no:cacheprovider",
    ]
    result = pytester.runpytest_subprocess(*places, "--collect-only", "-q", *nodes)
    assert result.ret == 0, result.stdout.str()
    assert result.stdout.str().count("::test_") == len(nodes)


def test_a_patch_of_a_missing_name_is_an_error():
    with pytest.raises(AttributeError):
        patch(Case, "no_such_name")


def test_a_function_is_patched_wherever_it_was_imported():
    from pytest_ftcompare.checks import invariants, probe
    from pytest_ftcompare.training import train

    @patch(train, "backward")
    def other(real):
        return "patched"

    assert train.backward() == invariants.backward() == probe.backward() == "patched"


def test_traincheck_detected_eighteen_of_its_twenty_errors():
    of_the_paper = [report for report in REPORTS if not report.new]
    assert len(of_the_paper) == len({report.name for report in of_the_paper}) == 20
    assert sum(report.detected for report in of_the_paper) == 18


def test_each_report_of_traincheck_is_either_recreated_or_left_out_for_a_reason():
    assert all(bool(report.fault) != bool(report.left_out) for report in REPORTS)
    recreated = {report.fault: report.url for report in REPORTS if report.fault}
    assert recreated == {
        change.name: change.upstream
        for change in FAULTS.values()
        if change.apply.__module__.endswith(".traincheck")
    }


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        ("", ""),
        (
            "merged, the outputs differ\nfixed upstream: remove the record",
            "merged, the outputs differ",
        ),
        ("fixed upstream: remove the record", ""),
        ("fixed upstream: remove the record\nAssertionError: 1 == 2", "AssertionError: 1 == 2"),
    ],
)
def test_a_known_fault_that_vanished_does_not_count_as_caught(failure, sentence):
    assert run.first_sentence(failure) == sentence


def verdict(**changes):
    return {"verdict": "changed", "divergences": [], "costs": [], "comparisons": []} | changes


@pytest.mark.parametrize(
    ("given", "rings"),
    [
        (verdict(verdict="same", divergences=["trainable 1 -> 2"]), []),
        (verdict(verdict="invalid", divergences=["invariant: it must merge"]), [0]),
        (verdict(divergences=["trainable 1 -> 2", "loss at step 0 0.7 -> 0.8"]), [1, 2]),
        (
            verdict(
                divergences=[
                    "outputs of the probe differ by 0.003 of 2.1 before any update",
                    "3 more tensors alike",
                ]
            ),
            [2],
        ),
        (verdict(verdict="worse", comparisons=[{"outcome": "worse"}]), [3]),
        (verdict(costs=[{"outcome": "worse", "how": "across versions"}]), [1]),
        (verdict(costs=[{"outcome": "worse", "how": "yardsticks"}]), [4]),
    ],
)
def test_rings_are_read_off_a_verdict(given, rings):
    assert rings_of(given) == rings


def test_the_page_is_up_to_date_with_the_record():
    file = run.ROOT / "docs" / "fault_catalogue.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    assert (file.parent / "faults.md").read_text(encoding="utf-8") == "\n".join(
        page.lines(record)
    ) + "\n"
    assert {*record["faults"], *record["benign"]} <= set(ALL)


def test_an_error_of_a_patch_is_distinguished_from_an_error_of_the_patched_code():
    from pytest_ftcompare.training import train

    @patch(train, "check_finite")
    def other(real, number):
        return real(number)

    with pytest.raises(TypeError):
        train.check_finite(1, 2)
    assert len(PATCH_ERRORS) == 1 and "finite: TypeError" in PATCH_ERRORS[0]
    PATCH_ERRORS.clear()

    @patch(train, "make_optimizer")
    def another(real, *arguments):
        return real(*arguments)

    with pytest.raises(AttributeError):
        train.make_optimizer(None, None)
    assert not PATCH_ERRORS
