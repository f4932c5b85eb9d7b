"""Cases that compute in bfloat16: invariants are checked in float32, the probe is not."""

import pytest

from pytest_ftcompare.checks import tiny_models
from pytest_ftcompare.checks.invariants import inspect
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.model_io import ModelInterface
from pytest_ftcompare.training.prepare import prepare


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    return tmp_path_factory.mktemp("hub")


@pytest.fixture
def prepared(hub):
    def make(method, precision="bfloat16"):
        model = tiny_models.save("opt", hub)
        config = TrainingConfig("pocket", max_length=128, hub=hub, precision=precision)
        return prepare(Case("test", method, "pocket_sst", model, 4), config)

    return make


@pytest.mark.parametrize("method", ["full", "lora", "prefix_tuning", "adapter_fusion"])
def test_rounding_breaks_no_invariant(prepared, method):
    assert inspect(prepared(method))[2] == []


def test_the_probe_computes_in_the_cases_precision(prepared):
    signature, probe, _ = inspect(prepared("lora"))
    exact_signature, exact_probe, _ = inspect(prepared("lora", "float32"))
    assert signature == exact_signature
    assert probe["outputs"] != exact_probe["outputs"]
    assert probe["loss"] == pytest.approx(exact_probe["loss"], rel=0.02)


def test_an_update_that_fails_only_in_bfloat16_is_a_broken_invariant(prepared, monkeypatch):
    real = ModelInterface.logits

    def logits(self, model, inputs):
        scores = real(self, model, inputs)
        if self.precision == "bfloat16" and scores.requires_grad and model.training is False:
            raise RuntimeError("expected scalar type Float but found BFloat16")
        return scores

    monkeypatch.setattr(ModelInterface, "logits", logits)
    (sentence,) = inspect(prepared("lora"))[2]
    assert sentence.startswith("an update must work, it raised RuntimeError: expected scalar type")
