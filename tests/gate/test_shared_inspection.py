"""Cases that differ only in their number of examples share inspection and counts in a run."""

import pytest

from pytest_ftcompare.checks.invariants import inspect
from pytest_ftcompare.gate import shared_inspection
from pytest_ftcompare.gate.shared_inspection import SharedInspection
from pytest_ftcompare.measure.counted_update import count_update
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare
from pytest_ftcompare.training.prepared_seed import PreparedSeed


@pytest.fixture
def made(monkeypatch):
    """Replace inspection, and list the inspected cases in order."""
    made = []

    def look(prepared):
        made.append((prepared.case.method, prepared.task.name, prepared.case.shots))
        return {"structure": len(made)}, {"loss": 1.5}, []

    monkeypatch.setattr(shared_inspection, "inspect_any_shots", look)
    return made


def inspected(prepared, folder):
    return SharedInspection(prepared, folder).inspect()


def case(shots=4, method="lora", task="pocket_sst", **options):
    unprepared = Case("test", method, task, "pocket/opt-0.4m", shots, tuple(options.items()))
    return prepare(unprepared, TrainingConfig("pocket", max_length=192))


def test_a_case_with_another_number_of_examples_reuses_the_first_inspection(made, tmp_path):
    first = inspected(case(4), tmp_path)
    assert inspected(case(16), tmp_path) == first == ({"structure": 1}, {"loss": 1.5}, [])
    assert made == [("lora", "pocket_sst", 4)]


@pytest.mark.parametrize(
    "other", [{"method": "full"}, {"task": "pocket_cola"}, {"r": 2}, {"epochs": 1}]
)
def test_every_other_case_is_inspected(made, tmp_path, other):
    inspected(case(), tmp_path)
    inspected(case(**other), tmp_path)
    assert len(made) == 2


def test_another_run_inspects_again(made, tmp_path):
    inspected(case(), tmp_path / "a")
    inspected(case(), tmp_path / "b")
    assert len(made) == 2


def test_the_shared_inspection_equals_each_cases_own(tmp_path):
    signature, probe, broken = inspected(case(4), tmp_path)
    assert (signature, probe, broken) == inspect(case(16))
    assert SharedInspection(case(4), tmp_path).count() == count_update(case(16))
    assert (tmp_path / "inspected").is_dir() and (tmp_path / "counted").is_dir()


def test_a_broken_invariant_is_reported_for_every_case(tmp_path, monkeypatch):
    monkeypatch.setattr(
        shared_inspection, "inspect_any_shots", lambda _: ({}, {}, ["something must train"])
    )
    assert (
        inspected(case(4), tmp_path)[2]
        == inspected(case(16), tmp_path)[2]
        == ["something must train"]
    )


def test_labels_are_checked_in_every_case(made, tmp_path, monkeypatch):
    labels = PreparedSeed.labels.fget
    wrong = property(
        lambda context: labels(context).roll(1) if context.shots == 16 else labels(context)
    )
    monkeypatch.setattr(PreparedSeed, "labels", wrong)
    (sentence,) = inspected(case(16), tmp_path)[2]
    assert sentence.startswith("each training row must have its own label")
    assert inspected(case(4), tmp_path)[2] == []
    assert inspected(case(16), tmp_path)[2] == [sentence]
