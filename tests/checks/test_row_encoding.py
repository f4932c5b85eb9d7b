"""Rows that are cut or labelled wrongly are found without a baseline."""

from dataclasses import replace

import pytest

from pytest_ftcompare.checks import tiny_models
from pytest_ftcompare.checks.row_encoding import check_labels, check_truncation
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training import prepared_seed
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.model_io import ModelInterface
from pytest_ftcompare.training.prepare import prepare

TASKS = {"head": "pocket_sst", "pattern": "pocket_sst", "answer": "pocket_instructions"}


@pytest.fixture
def prepared(tmp_path):
    def make(output_mode, family="opt"):
        case = Case(
            "test",
            "full",
            TASKS[output_mode],
            tiny_models.save(family, tmp_path),
            4,
            (("output_mode", output_mode),),
        )
        return prepare(case, TrainingConfig("pocket", max_length=64, hub=tmp_path))

    return make


@pytest.mark.parametrize(
    ("output_mode", "family"),
    [(output_mode, "opt") for output_mode in TASKS]
    + [("head", "roberta"), ("pattern", "t5"), ("head", "llama")],
)
def test_without_a_fault_nothing_is_broken(prepared, output_mode, family):
    case = prepared(output_mode, family)
    assert [*check_truncation(case), *check_labels(case)] == []


@pytest.mark.parametrize(
    ("output_mode", "side", "kept"),
    [("head", "left", "begin"), ("pattern", "right", "end"), ("answer", "right", "end")],
)
def test_a_text_cut_on_the_wrong_side_is_found(prepared, monkeypatch, output_mode, side, kept):
    case = prepared(output_mode)
    monkeypatch.setattr(case.interface.tokenizer, "truncation_side", side)
    assert list(check_truncation(case)) == [
        f"a text that is too long must keep its {kept}, it does not"
    ]


def test_a_text_that_is_not_cut_is_found(prepared, monkeypatch):
    case = prepared("pattern")
    monkeypatch.setattr(
        ModelInterface,
        "encode",
        lambda self, texts: [self.tokenizer(one, verbose=False)["input_ids"] for one in texts],
    )
    (said,) = check_truncation(case)
    assert said.startswith("a text must be cut to the 64 tokens that the model reads, it has ")


def test_blank_rows_are_never_too_long(prepared):
    case = prepared("head")
    blank = [replace(one, fields=dict.fromkeys(one.fields, "")) for one in case.examples["train"]]
    assert list(check_truncation(replace(case, examples=case.examples | {"train": blank}))) == []


def test_labels_of_other_rows_are_found(prepared, monkeypatch):
    real = prepared_seed.labels
    monkeypatch.setattr(
        prepared_seed, "labels", lambda examples: [1 - real(examples)[0], *real(examples)[1:]]
    )
    assert list(check_labels(prepared("head"))) == [
        "each training row must have its own label, 1 of 8 have another"
    ]
