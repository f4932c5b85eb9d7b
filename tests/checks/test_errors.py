"""An error inside a check is the check's sentence; what a user can remove is raised."""

import pytest
import torch

from pytest_ftcompare.checks import invariants, slow_invariants, tiny_models
from pytest_ftcompare.checks.errors import guarded
from pytest_ftcompare.methods.base import MethodError
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training import train
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare
from pytest_ftcompare.training.train import TrainingError


def raising(error):
    yield "a broken promise"
    raise error


def test_an_error_is_the_last_sentence_of_its_check():
    first, last = guarded("evaluation", raising(KeyError("logits")))
    assert first == "a broken promise"
    assert last.startswith("evaluation must work, it raised KeyError: 'logits' (test_errors.py:")


@pytest.mark.parametrize(
    "error",
    [
        MethodError("expected a block that divides the width"),
        TrainingError("expected a finite loss"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        MemoryError(),
    ],
)
def test_what_a_user_can_remove_is_raised(error):
    with pytest.raises(type(error)):
        list(guarded("evaluation", raising(error)))


@pytest.fixture
def prepared(tmp_path):
    case = Case("test", "lora", "pocket_sst", tiny_models.save("llama", tmp_path), 4, ())
    return prepare(case, TrainingConfig("pocket", max_length=128, hub=tmp_path))


def fails(*_, **__):
    raise RuntimeError("the kernel has no backward")


def test_an_update_that_raises_is_a_sentence_of_the_gate_and_of_the_suites(prepared, monkeypatch):
    monkeypatch.setattr(torch.optim.AdamW, "step", fails)
    sentence = "an update must work, it raised RuntimeError: the kernel has no backward ("
    _, record, broken = invariants.inspect(prepared)
    assert broken[0].startswith(sentence) and "outputs" in record
    assert slow_invariants.check_all(prepared)[0].startswith(sentence)


def test_training_that_raises_is_a_sentence(prepared, monkeypatch):
    monkeypatch.setattr(train.nn.utils, "clip_grad_norm_", fails)
    (sentence,) = slow_invariants.check_all(prepared)
    assert sentence.startswith("training must work, it raised RuntimeError: the kernel has no back")
