"""Faults put into a running stack from outside: each is found by the ring that should find it."""

import pytest
import torch

from pytest_ftcompare.checks.invariants import inspect
from pytest_ftcompare.compare import divergence
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.result import Result
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare


def result(method):
    prepared = prepare(
        Case("test", method, "pocket_sst", "pocket/opt-0.4m", 4),
        TrainingConfig("pocket", max_length=192),
    )
    signature, probe, broken = inspect(prepared)
    return Result("id", "test", {}, "", {}, {}, signature, probe, {}, broken_invariants=broken)


def differences(base, new):
    return [
        one.text
        for one in (
            *divergence.compare_structures(base, new),
            *divergence.compare_probes(base, new),
        )
    ]


@pytest.mark.parametrize("method", ["full", "pbft", "icl", "lora"])
def test_the_probe_repeats(method):
    assert differences(result(method), result(method)) == []


def test_a_doubled_lora_scaling_moves_the_probes_outputs(monkeypatch):
    from peft.tuners.lora import LoraLayer

    base = result("lora")
    real = LoraLayer.update_layer

    def doubled(self, adapter_name, *arguments, **named):
        real(self, adapter_name, *arguments, **named)
        self.scaling[adapter_name] *= 2

    monkeypatch.setattr(LoraLayer, "update_layer", doubled)
    found = differences(base, result("lora"))
    assert any(one.startswith("outputs of the probe differ by ") for one in found)


@pytest.mark.parametrize("method", ["full", "pbft", "icl", "lora"])
def test_an_ignored_attention_mask_moves_the_probes_outputs(monkeypatch, method):
    from transformers.models.opt.modeling_opt import OPTDecoder

    base = result(method)
    real = OPTDecoder.forward

    def blind(self, *arguments, attention_mask=None, **named):
        mask = None if attention_mask is None else torch.ones_like(attention_mask)
        return real(self, *arguments, attention_mask=mask, **named)

    monkeypatch.setattr(OPTDecoder, "forward", blind)
    found = differences(base, result(method))
    assert any(one.startswith("outputs of the probe differ by ") for one in found)


@pytest.mark.parametrize("method", ["full", "pbft", "lora"])
def test_an_optimiser_that_leaves_one_tensor_out_breaks_an_invariant(monkeypatch, method):
    real = torch.optim.AdamW.step

    def forgetful(self, *arguments, **named):
        kept = self.param_groups[0]["params"][2].detach().clone()
        real(self, *arguments, **named)
        self.param_groups[0]["params"][2].data.copy_(kept)

    monkeypatch.setattr(torch.optim.AdamW, "step", forgetful)
    assert any(
        "the first update left it as it was" in one for one in result(method).broken_invariants
    )


def test_a_merge_that_forgets_the_scaling_breaks_an_invariant(monkeypatch):
    from peft.tuners.lora.layer import Linear

    real = Linear.get_delta_weight
    monkeypatch.setattr(
        Linear,
        "get_delta_weight",
        lambda self, adapter: real(self, adapter) / self.scaling[adapter],
    )
    assert any(
        one.startswith("merged, the outputs must be the unmerged ones")
        for one in result("lora").broken_invariants
    )


def test_an_adapter_that_does_not_start_at_the_base_breaks_an_invariant(monkeypatch):
    from peft.tuners.lora import LoraLayer

    real = LoraLayer.reset_lora_parameters

    def loud(self, adapter_name, *arguments):
        real(self, adapter_name, *arguments)
        torch.nn.init.normal_(self.lora_B[adapter_name].weight)

    monkeypatch.setattr(LoraLayer, "reset_lora_parameters", loud)
    assert any(
        "before training the outputs must be the base model's" in one
        for one in result("lora").broken_invariants
    )


def test_a_checkpoint_that_loses_the_head_breaks_an_invariant(monkeypatch):
    from safetensors.torch import load_file, save_file

    from pytest_ftcompare.methods import lora

    def headless(self, model, folder):
        model.save_pretrained(str(folder))
        file = str(folder / "adapter_model.safetensors")
        save_file(
            {name: tensor for name, tensor in load_file(file).items() if "lora" in name}, file
        )

    monkeypatch.setattr(lora.Lora, "save", headless)
    assert any(
        one.startswith("what was saved must load again") for one in result("lora").broken_invariants
    )


def test_micro_batches_that_are_not_weighted_by_their_rows_break_an_invariant(monkeypatch):
    from pytest_ftcompare.methods import full

    monkeypatch.setattr(
        full.Full,
        "loss",
        lambda self, logits, labels: torch.nn.functional.cross_entropy(
            logits, labels, reduction="sum"
        ),
    )
    assert any("three accumulated micro-batches" in one for one in result("full").broken_invariants)


def test_a_frozen_tensor_that_moves_breaks_an_invariant(monkeypatch):
    real = torch.optim.AdamW.step
    models = []
    from pytest_ftcompare.methods import lora

    apply = lora.Lora.apply
    monkeypatch.setattr(
        lora.Lora, "apply", lambda self, model: models.append(apply(self, model)) or models[-1]
    )

    def greedy(self, *arguments, **named):
        real(self, *arguments, **named)
        for parameter in models[0].parameters():
            if not parameter.requires_grad:
                parameter.data.add_(1e-3)
                break

    monkeypatch.setattr(torch.optim.AdamW, "step", greedy)
    assert any(
        "is frozen, the first update moved it" in one for one in result("lora").broken_invariants
    )
