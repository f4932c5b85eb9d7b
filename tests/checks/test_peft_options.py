"""A promise of a PEFT option is broken by a fault in a running PEFT, and found."""

import copy
from dataclasses import replace

import peft.tuners.lora.model as lora_model
import pytest
import torch
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTuner

from pytest_ftcompare.checks import peft_options, tiny_models
from pytest_ftcompare.checks.peft_options import OPTIONS, check_option
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
CASE = Case("test", "lora", "pocket_sst", "tiny/llama", 4, (("output_mode", "pattern"),))


@pytest.fixture(scope="module")
def lora(tmp_path_factory):
    hub = tmp_path_factory.mktemp("hub")
    tiny_models.save("llama", hub)
    return prepare(CASE, TrainingConfig("pocket", max_length=128, hub=hub))


@pytest.fixture
def broken(lora, monkeypatch):
    """Return a function that gives an option's promises that no upstream fault explains.

    The checks of an adapter's whole life are left out: tests/checks/test_adapter_lifecycle.py
    breaks them.
    """
    monkeypatch.setattr(peft_options, "check_lifecycle", lambda case, tolerance: ([], set()))
    return lambda option: check_option(lora, option)[0]


@pytest.mark.parametrize("option", OPTIONS)
def test_without_a_fault_an_option_keeps_its_promises(broken, option):
    assert broken(option) == []


def test_an_option_leaves_the_case_as_it_was(lora):
    check_option(lora, "rank and alpha patterns")
    config = lora.method.config(lora.loaded().model)
    assert config.rank_pattern == {} and lora.method.mergeable


def test_a_norm_that_does_not_train_is_found(broken, monkeypatch):
    real = BaseTuner.inject_adapter

    def without(self, model, adapter_name, *arguments, **named):
        self.peft_config[adapter_name].modules_to_save = None
        return real(self, model, adapter_name, *arguments, **named)

    monkeypatch.setattr(BaseTuner, "inject_adapter", without)
    (sentence,) = broken("modules_to_save")
    assert sentence == "modules_to_save must train the norm that it names, 0 modules do"


def with_config(monkeypatch, **changed):
    """Make PEFT ignore options of a config, as if it had never read them."""
    real = BaseTuner.inject_adapter

    def ignoring(self, model, adapter_name, *arguments, **named):
        for name, value in changed.items():
            setattr(self.peft_config[adapter_name], name, copy.deepcopy(value))
        return real(self, model, adapter_name, *arguments, **named)

    monkeypatch.setattr(BaseTuner, "inject_adapter", ignoring)


def test_an_excluded_module_with_an_adapter_is_found(broken, monkeypatch):
    with_config(monkeypatch, exclude_modules=None)
    (sentence,) = broken("exclude_modules")
    assert sentence.startswith(
        "exclude_modules must exclude modules, base_model.model.model.layers.0"
    )


def test_more_targets_than_a_parameter_are_found(broken, monkeypatch):
    with_config(monkeypatch, target_modules={"v_proj"})
    (sentence,) = broken("target_parameters")
    assert sentence.startswith(
        "target_parameters must adapt model.layers.0.self_attn.q_proj.weight"
    )
    assert sentence.count("v_proj") == 2


def test_patterns_that_are_not_read_are_found(broken, monkeypatch):
    monkeypatch.setattr(lora_model, "get_pattern_key", lambda keys, name: name)
    first, *_ = broken("rank and alpha patterns")
    assert first.startswith(
        "rank_pattern and alpha_pattern must give base_model.model.model.layers.0"
    )
    assert first.endswith("rank and scale (5, 4.8), it has (8, 2.0)")


def test_adapters_in_half_precision_are_found(broken, monkeypatch):
    monkeypatch.setattr(BaseTuner, "_cast_adapter_dtype", lambda self, *_, **__: None)
    (sentence,) = broken("base model in bfloat16")
    assert sentence.startswith("on a base model in bfloat16 adapters must be float32, base_model")


def test_a_base_model_that_changes_what_trains_is_found(broken, monkeypatch):
    real = BaseTuner._cast_adapter_dtype

    def thawing(self, *arguments, **named):
        real(self, *arguments, **named)
        for parameter in self.model.parameters():
            if parameter.dtype == torch.bfloat16:
                parameter.requires_grad_(True)

    monkeypatch.setattr(BaseTuner, "_cast_adapter_dtype", thawing)
    sentences = broken("base model in bfloat16")
    assert any(
        sentence.startswith("a base model in bfloat16 must not change what trains, 21 tensors")
        for sentence in sentences
    )


def test_a_training_that_raises_is_a_sentence(lora, monkeypatch):
    def fails(case, tolerance):
        raise AttributeError("'NoneType' object has no attribute 'unsqueeze'")

    monkeypatch.setattr(peft_options, "check_lifecycle", fails)
    (sentence,), refused = check_option(lora, "exclude_modules")
    assert sentence.startswith(
        "training an adapter must work, it raised AttributeError: "
        "'NoneType' object has no attribute 'unsqueeze' (test_peft_options.py:"
    )
    assert refused == set()


def test_layers_of_lora_have_the_attributes_that_the_checks_read():
    assert {"r", "lora_alpha", "lora_A"} <= vars(LoraLayer(torch.nn.Linear(2, 2))).keys()


@pytest.mark.parametrize(
    ("option", "field", "sentence"),
    [
        ("adapted embeddings", "config", "embeddings that target_modules names must be adapted"),
        ("trained embeddings", "config", "embeddings that modules_to_save names must train"),
        ("base model with tied and resized embeddings", "base", "a resized vocabulary must have"),
        ("base model in 8 bits", "load", "a base model in 8 bits must have weights in 8 bits"),
    ],
)
def test_an_option_that_does_nothing_is_found(broken, monkeypatch, option, field, sentence):
    nothing = dict if field == "load" else peft_options.nothing
    ignored = replace(OPTIONS[option], **{field: nothing})
    monkeypatch.setattr(peft_options, "OPTIONS", {**OPTIONS, option: ignored})
    assert any(each.startswith(sentence) for each in broken(option))
