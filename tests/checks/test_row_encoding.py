"""Rows that are cut or labelled otherwise than they should be are found without a baseline."""

from dataclasses import replace

import pytest

from pytest_ftcompare.checks import tiny_models
from pytest_ftcompare.checks.row_encoding import as_labelled, as_read
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training import trial
from pytest_ftcompare.training.config import Setting
from pytest_ftcompare.training.model_io import Questioner
from pytest_ftcompare.training.prepare import prepare

TASKS = {"head": "pocket_sst", "pattern": "pocket_sst", "answer": "pocket_instructions"}


@pytest.fixture
def prepared(tmp_path):
    def make(ask, family="opt"):
        case = Case("test", "full", TASKS[ask], tiny_models.save(family, tmp_path), 4, (("ask", ask),))
        return prepare(case, Setting("pocket", max_length=64, hub=tmp_path))

    return make


@pytest.mark.parametrize(
    ("ask", "family"), [(ask, "opt") for ask in TASKS] + [("head", "roberta"), ("pattern", "t5"), ("head", "llama")]
)
def test_without_a_fault_nothing_is_broken(prepared, ask, family):
    case = prepared(ask, family)
    assert [*as_read(case), *as_labelled(case)] == []


@pytest.mark.parametrize(
    ("ask", "side", "kept"), [("head", "left", "begin"), ("pattern", "right", "end"), ("answer", "right", "end")]
)
def test_a_text_that_is_cut_on_the_side_where_the_model_is_asked(prepared, monkeypatch, ask, side, kept):
    case = prepared(ask)
    monkeypatch.setattr(case.ask.tokenizer, "truncation_side", side)
    assert list(as_read(case)) == [f"a text that is too long must keep its {kept}, it does not"]


def test_a_text_that_is_not_cut(prepared, monkeypatch):
    case = prepared("pattern")
    monkeypatch.setattr(
        Questioner, "encode", lambda self, texts: [self.tokenizer(one, verbose=False)["input_ids"] for one in texts]
    )
    (said,) = as_read(case)
    assert said.startswith("a text must be cut to the 64 tokens that the model reads, it has ")


def test_rows_that_are_blank_are_never_too_long(prepared):
    case = prepared("head")
    blank = [replace(one, fields=dict.fromkeys(one.fields, "")) for one in case.examples["train"]]
    assert list(as_read(replace(case, examples=case.examples | {"train": blank}))) == []


def test_labels_of_other_rows(prepared, monkeypatch):
    real = trial.labels
    monkeypatch.setattr(trial, "labels", lambda examples: [1 - real(examples)[0], *real(examples)[1:]])
    assert list(as_labelled(prepared("head"))) == ["each training row must have its own label, 1 of 8 have another"]
