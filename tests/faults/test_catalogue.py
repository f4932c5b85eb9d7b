"""The catalogue is sound: every fault says what it is, names cases that exist, and patches what is there."""

from __future__ import annotations

import json
import re

import pytest

from . import BENIGN, FAULTS, page, run
from .change import BROKEN, UNDO, Case, patch, undo
from .rings import seen

ALL = FAULTS | BENIGN
LINK = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+/(issues|pull)/\d+")
UNTOUCHED = {
    "upgrade_without_a_fault",
    "two_threads",
    "another_instruction_set",
}  # benign, and no patch of anything


@pytest.fixture(autouse=True)
def restored():
    yield
    undo()


@pytest.mark.parametrize("change", ALL.values(), ids=lambda one: one.name)
def test_a_change_says_in_one_sentence_what_is_other(change):
    assert change.says.endswith(".") and len(change.says) < 140
    assert change.area
    assert 1 <= len(change.cases) <= 3
    assert change.upstream == "" or LINK.fullmatch(change.upstream)


def test_there_are_at_least_forty_faults_of_which_twenty_were_bugs_of_libraries():
    assert len(FAULTS) >= 40
    assert len({one.upstream for one in FAULTS.values()} - {""}) >= 20


@pytest.mark.parametrize(
    "change", [one for one in ALL.values() if one.name not in UNTOUCHED], ids=lambda one: one.name
)
def test_what_a_change_patches_is_there_and_comes_back(change):
    change.apply()
    patched = list(UNDO)
    assert patched
    undo()
    for owner, name, before in patched:
        assert vars(owner).get(name, getattr(owner, name)) is before


def test_every_case_of_the_catalogue_is_collected(pytester, tmp_path):
    run.write_suite(tmp_path)
    nodes = sorted({run.node(case, tmp_path) for one in ALL.values() for case in one.cases})
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


def test_a_patch_of_what_is_not_there_is_an_error():
    with pytest.raises(AttributeError):
        patch(Case, "no_such_name")


def test_a_function_is_patched_wherever_it_was_imported():
    from pytest_ftcompare.checks import invariants, probe
    from pytest_ftcompare.training import train

    @patch(train, "backward")
    def other(real):
        return "patched"

    assert train.backward() == invariants.backward() == probe.backward() == "patched"


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
def test_a_ring_is_read_off_what_it_says(given, rings):
    assert seen(given) == rings


def test_the_page_is_made_of_the_record():
    file = run.ROOT / "docs" / "fault_catalogue.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    assert (file.parent / "faults.md").read_text(encoding="utf-8") == "\n".join(
        page.lines(record)
    ) + "\n"
    assert {*record["faults"], *record["benign"]} <= set(ALL)


def test_an_error_of_a_patch_itself_is_told_from_one_of_what_it_calls():
    from pytest_ftcompare.training import train

    @patch(train, "check_finite")
    def other(real, number):
        return real(number)

    with pytest.raises(TypeError):
        train.check_finite(1, 2)
    assert len(BROKEN) == 1 and "finite: TypeError" in BROKEN[0]
    BROKEN.clear()

    @patch(train, "make_optimizer")
    def another(real, *arguments):
        return real(*arguments)

    with pytest.raises(AttributeError):
        train.make_optimizer(None, None)
    assert not BROKEN
