"""Each promise of an adapter's life is broken by a fault in a running PEFT, and found."""

import copy

import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraModel
from peft.tuners.lora import layer as lora_layer
from peft.tuners.tuners_utils import BaseTunerLayer

from pytest_ftcompare.checks import adapter_lifecycle, tiny_models
from pytest_ftcompare.checks.adapter_lifecycle import check_lifecycle
from pytest_ftcompare.compare import known_faults
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare

CASE = Case("test", "lora", "pocket_sst", "tiny/llama", 4, (("output_mode", "pattern"),))
KNOWN = tuple(fault.sentence for fault in known_faults.LIFECYCLE_FAULTS)


@pytest.fixture(scope="module")
def lora(tmp_path_factory):
    hub = tmp_path_factory.mktemp("hub")
    tiny_models.save("llama", hub)
    return prepare(CASE, TrainingConfig("pocket", max_length=128, hub=hub))


def unknown(prepared):
    """Return the broken promises that no record of an upstream fault names."""
    return [sentence for sentence in check_lifecycle(prepared)[0] if not sentence.startswith(KNOWN)]


def test_without_a_fault_only_known_faults_show(lora):
    assert unknown(lora) == []


def test_an_adapter_that_thaws_the_base_model_when_it_is_enabled_is_found(lora, monkeypatch):
    real = BaseTunerLayer.enable_adapters

    def thawing(self, enabled):
        real(self, enabled)
        self.get_base_layer().weight.requires_grad_(enabled)

    monkeypatch.setattr(BaseTunerLayer, "enable_adapters", thawing)
    (first, *_) = unknown(lora)
    assert first.startswith(
        "disabled and enabled again, the adapter must train what it trained, others do: 4 do"
    )


def test_a_base_model_that_trains_while_the_adapter_is_disabled_is_found(lora, monkeypatch):
    real = BaseTunerLayer.enable_adapters

    def thawing(self, enabled):
        real(self, enabled)
        self.get_base_layer().weight.requires_grad_(not enabled)

    monkeypatch.setattr(BaseTunerLayer, "enable_adapters", thawing)
    assert any(
        sentence.startswith("while the adapter is disabled, no other tensor must train, 4 do")
        for sentence in unknown(lora)
    )


def test_a_second_adapter_that_takes_the_first_ones_gradients_is_found(lora, monkeypatch):
    real = PeftModel.load_adapter

    def freezing(self, path, name, **options):
        outcome = real(self, path, name, **options)
        for parameter_name, parameter in self.named_parameters():
            if "default" in parameter_name.split("."):
                parameter.requires_grad_(False)
        return outcome

    monkeypatch.setattr(PeftModel, "load_adapter", freezing)
    found = "\n".join(check_lifecycle(lora)[0])
    assert "beside a second adapter the first must train what it trained, others do: 8" in found
    assert "with the second adapter deleted the first must train what it trained" in found


def test_an_inactive_adapter_that_trains_is_found(lora, monkeypatch):
    real = LoraModel.set_adapter

    def all_train(self, *arguments, **named):
        real(self, *arguments, **named)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_("lora_" in name)

    monkeypatch.setattr(LoraModel, "set_adapter", all_train)
    found = "\n".join(check_lifecycle(lora)[0])
    assert "with the second adapter active the first must not train, 8 do" in found


def test_a_deletion_that_deletes_nothing_is_found(lora, monkeypatch):
    monkeypatch.setattr(PeftModel, "delete_adapter", lambda self, name: None)
    found = unknown(lora)
    assert "a deleted adapter must be gone from memory, its config stays" in found
    assert "a deleted adapter must not be saved, its folder is there" in found
    assert any(
        one.startswith("a deleted adapter must be gone from memory, tensors stay: 8")
        for one in found
    )


def test_a_combination_with_another_weight_is_found(lora, monkeypatch):
    real = LoraModel.add_weighted_adapter

    def heavier(self, adapters, weights, *arguments, **named):
        return real(self, adapters, [2 * weight for weight in weights], *arguments, **named)

    monkeypatch.setattr(LoraModel, "add_weighted_adapter", heavier)
    (found,) = [one for one in check_lifecycle(lora)[0] if one.startswith("combined, an adapter")]
    assert "linear alone (" in found and "cat beside one of weight zero (" in found


def test_an_adapter_that_merges_again_is_found(lora, monkeypatch):
    def all_active(module, names=None):
        return names or list(module.active_adapters)

    monkeypatch.setattr(lora_layer, "check_adapters_to_merge", all_active)
    twice = [one.partition(",")[0] for one in check_lifecycle(lora)[0] if " twice " in one]
    assert "merge_adapter twice must keep the outputs" in twice


def test_a_merge_of_the_first_of_two_adapters_alone_is_found(lora, monkeypatch):
    real = lora_layer.check_adapters_to_merge
    monkeypatch.setattr(
        lora_layer, "check_adapters_to_merge", lambda module, names=None: real(module, names)[:1]
    )
    (found,) = unknown(lora)
    assert found.startswith("two active adapters, merge_adapter must keep the outputs")


def test_a_checkpoint_that_loses_digits_is_found_when_saved_and_when_resumed(lora, monkeypatch):
    real = PeftModel.save_pretrained

    def coarse(self, *arguments, **named):
        rounded = copy.deepcopy(self)
        with torch.no_grad():
            for name, parameter in rounded.named_parameters():
                if "lora_B" in name:
                    parameter.copy_(parameter.to(torch.float8_e5m2).float())
        return real(rounded, *arguments, **named)

    monkeypatch.setattr(PeftModel, "save_pretrained", coarse)
    found = "\n".join(unknown(lora))
    assert "after 6 updates, saved and loaded, the outputs must be the same" in found
    assert "loaded for inference, the outputs must be the trained ones" in found
    assert "resumed from a saved adapter, training must end where it ends without a stop" in found


def test_an_error_is_its_checks_sentence_and_a_refusal_is_none(lora, monkeypatch):
    def raising(error):
        def delete(self, name):
            raise error

        monkeypatch.setattr(PeftModel, "delete_adapter", delete)
        return unknown(lora)

    (sentence,) = raising(KeyError("second"))
    assert sentence.startswith(
        "deleting an adapter must work or be refused, it raised KeyError: 'second' ("
    )
    assert raising(NotImplementedError("this method keeps its adapters")) == []
    assert "deleting an adapter" in check_lifecycle(lora)[1]


def test_every_check_has_a_name_that_says_what_it_does():
    names = [*adapter_lifecycle.CHECKS, *adapter_lifecycle.MERGE_CHECKS]
    assert all(name.partition(" ")[0].endswith("ing") for name in names)
