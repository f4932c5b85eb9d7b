"""A tensor that should train and does not breaks an invariant."""

import torch

from pytest_ftcompare import methods
from pytest_ftcompare.checks.invariants import inspect
from pytest_ftcompare.methods.layers.head import freeze
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare


def broken(method, **options):
    case = Case("s", method, "pocket_sst", "pocket/opt-0.4m", 4, tuple(sorted(options.items())))
    return inspect(prepare(case, TrainingConfig("pocket", max_length=192)))[2]


def test_a_new_head_that_does_not_train_is_found(monkeypatch):
    monkeypatch.setattr(
        methods.load("full"),
        "apply",
        lambda self, model: freeze(model, "pattern", lambda name: "fc1" in name),
    )
    assert (
        broken("full")[0]
        == "a new classification head must train, no tensor of it requires a gradient"
    )


def test_a_new_head_under_pefts_name_counts_as_trained():
    assert broken("lora") == []


def test_a_tensor_that_the_model_never_uses_is_found(monkeypatch):
    def apply(self, model):
        model.adapter = torch.nn.Linear(2, 2, bias=False)
        return model

    monkeypatch.setattr(methods.load("full"), "apply", apply)
    assert "adapter.weight is declared to train, it received no gradient" in broken("full")


def test_a_learning_rate_at_which_nothing_moves_is_found():
    assert any(
        one.endswith("has a gradient, the first update left it as it was")
        for one in broken("lora", lr=0.0)
    )
