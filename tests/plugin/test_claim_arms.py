"""The cases that a claim's arm finds in its suite's tables."""

import pytest

from pytest_ftcompare.compare.claims.relations import Arm, Untestable
from pytest_ftcompare.gate.case_work import CaseError
from pytest_ftcompare.gate.claim_evidence import with_overrides
from pytest_ftcompare.gate.profiles import PROFILES
from pytest_ftcompare.plugin.claim_arms import SuiteTables

SUITE = """
import pytest

@pytest.mark.ftcompare(
    methods=("full", "lora"), tasks=("cola", "mnli"), shots=(16, 64), models=("small", "large")
)
@pytest.mark.ftcompare(
    methods=("lora",), tasks=("cola",), shots=(64,), models=("large",), grid={"r": (1, 2)}
)
def test_first(gate): ...

@pytest.mark.ftcompare(methods=("pbft",), tasks=("cola",), shots=("SHOTS"), options={"epochs": 2})
def test_second(gate): ...
"""


@pytest.fixture
def tables(tmp_path):
    def make(shots="few"):
        (tmp_path / "test_made.py").write_text(SUITE.replace("SHOTS", shots))
        return SuiteTables(tmp_path, PROFILES["pocket"])

    return make


@pytest.mark.parametrize(
    ("arm", "cells"),
    [
        (Arm("made", "lora", 64, ("cola",), ("large",)), ["lora-pocket_cola-opt-1.4m-n64"]),
        (
            Arm("made", "lora", 64, ("cola",), ("large",), {"r": 2}),
            ["lora-pocket_cola-opt-1.4m-n64-r=2"],
        ),
        (
            Arm("made", "full", "most", models=("small",)),
            ["full-pocket_cola-opt-0.4m-n64", "full-pocket_mnli-opt-0.4m-n64"],
        ),
        (Arm("made", "full", "least", ("mnli",), ("small",)), ["full-pocket_mnli-opt-0.4m-n16"]),
        (
            Arm("made", "pbft"),
            ["pbft-pocket_cola-opt-1.4m-n16-epochs=2", "pbft-pocket_cola-opt-1.4m-n64-epochs=2"],
        ),
        (Arm("made", "pbft", "ranks"), ["pbft-pocket_cola-opt-1.4m-n64-epochs=2"]),
    ],
)
def test_an_arm_is_its_cases_with_the_fewest_other_options(tables, arm, cells):
    assert [case.id for case in tables().of(arm)] == cells


@pytest.mark.parametrize(
    "arm",
    [
        Arm("made", "icl"),
        Arm("made", "full", 128),
        Arm("made", "lora", options={"r": 3}),
        Arm("none", "full"),
    ],
)
def test_an_arm_that_no_table_has_is_untestable(tables, arm):
    with pytest.raises(
        Untestable, match=f"the profile pocket has no case of .* in the suite {arm.suite}"
    ):
        tables().of(arm)


def test_a_wrong_table_is_a_case_error(tables):
    with pytest.raises(
        CaseError,
        match="the suite made has a wrong table: no number of shots is called 'fwe'",
    ):
        tables("fwe").of(Arm("made", "pbft"))


def test_overrides_make_another_case(tables):
    arm = Arm("made", "pbft", 16, overrides={"epochs": 1, "batch_size": 8})
    (case,) = tables().of(arm)
    assert with_overrides(case, arm).id == "pbft-pocket_cola-opt-1.4m-n16-batch_size=8-epochs=1"
    assert with_overrides(case, Arm("made", "pbft")) == case
