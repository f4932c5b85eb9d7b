"""Fixtures: random tiny models of every supported family, and methods prepared on them."""

import pytest
import torch

from pytest_ftcompare.checks import tiny_models
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepare import prepare
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import trainable_parameters


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    for name in tiny_models.FAMILIES:
        tiny_models.save(name, folder)
    return folder


@pytest.fixture
def make(hub):
    """Return a function that prepares a method on a model, by default an embedded one."""

    def prepared(method, model="pocket/opt-0.4m", task="pocket_sst", shots=4, **options):
        case = Case("test", method, task, model, shots, tuple(sorted(options.items())))
        return prepare(case, TrainingConfig("pocket", max_length=192, hub=hub))

    return prepared


@pytest.fixture
def perturbed():
    """Return a function that gives a method's model random weights.

    It returns the model, the seed's context and the base model's logits with the same head.
    """

    def build(prepared):
        context = PreparedSeed(prepared, 0, 4)
        torch.manual_seed(0)
        model = prepared.adapted()
        torch.manual_seed(0)
        base = class_logits(prepared.loaded().model, prepared.interface, context.rows)
        for name, parameter in trainable_parameters(model).items():
            if "score" not in name and "classifier" not in name:
                torch.nn.init.normal_(parameter, std=0.1)
        return model, context, base

    return build


@pytest.fixture
def modules():
    """Return a function that lists a model's modules of a class, in the model's order."""
    return lambda model, kind: [part for part in model.modules() if isinstance(part, kind)]
