"""A plan from shallow models without weights equals the whole model's need, to the byte."""

import json

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from pytest_ftcompare import methods
from pytest_ftcompare.measure.plan import plan as planning
from pytest_ftcompare.measure.plan.phases import highest_peak
from pytest_ftcompare.measure.plan.plan import FakeSeed, fake_case, plan, plan_all, trace_update
from pytest_ftcompare.measure.plan.shapes import SHAPES, ShapeError, config_of
from pytest_ftcompare.measure.step_counts import count_step
from pytest_ftcompare.training.train import Training

SIZES = {
    "vocab_size": 500,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
FFN = {"opt": {"ffn_dim": 128, "word_embed_proj_dim": 64}, "llama": {"intermediate_size": 160}}
ROWS, LENGTH = 4, 40


@pytest.fixture
def small(tmp_path):
    """Return a function that makes a small configuration of a depth, as a user's file."""

    def configured(family, layers):
        config = AutoConfig.for_model(family, num_hidden_layers=layers, **SIZES, **FFN[family])
        config.save_pretrained(tmp_path)
        return config_of(str(tmp_path))

    return configured


CASES = [
    ("opt", "full"),
    ("opt", "lora"),
    ("opt", "partial"),
    ("opt", "adapter_drop"),
    ("opt", "prefix_tuning"),
]
CASES += [("llama", "qlora"), ("llama", "icl"), ("llama", "unipelt")]


@pytest.mark.parametrize(("family", "method"), CASES)
def test_two_shallow_copies_give_the_whole_models_peak_to_the_byte(small, family, method):
    config = small(family, 14)
    whole = trace_update(fake_case(method, config, ROWS, LENGTH, torch.bfloat16), 14)
    found = plan(method, config, ROWS, LENGTH)
    assert found.peak == highest_peak(whole.peaks.values())
    assert found.trainable == whole.trainable


def test_the_peak_may_be_in_another_phase_than_in_the_shallow_copies(small):
    config = small("llama", 20)
    config.vocab_size = 20000
    whole = trace_update(fake_case("full", config, ROWS, LENGTH, torch.bfloat16), 20)
    shallow = trace_update(
        fake_case("full", config, ROWS, LENGTH, torch.bfloat16), planning.SHALLOW_DEPTH
    )
    where = [
        max(one.peaks, key=lambda phase, one=one: one.peaks[phase].peak) for one in (shallow, whole)
    ]
    assert where[0] != where[1]
    assert plan("full", config, ROWS, LENGTH).peak == whole.peaks[where[1]]


@pytest.mark.parametrize("method", ["full", "lora", "adapter", "bitfit", "qlora"])
def test_a_plan_is_what_the_loops_second_update_of_a_real_model_needs(small, method):
    config = small("opt", 3)
    prepared = fake_case(method, config, ROWS, LENGTH, torch.float32, lr=0.0)
    torch.manual_seed(0)
    model = prepared.adapted()
    with torch.no_grad():
        for one in model.parameters():
            if one.is_floating_point():
                one.normal_(std=0.02)
            else:
                # A 4-bit weight is not initialised and may not be finite: zero its scales.
                one.quant_state.offset.zero_()
                one.quant_state.state2.absmax.zero_()
    training = Training(
        model,
        prepared.method,
        FakeSeed(prepared, 0, 0).stage(prepared.method.recipe),
        planning.SCHEDULE_STEPS,
        0,
    )
    for group in training.optimizer.param_groups:
        group["foreach"] = True
    every = list(range(ROWS))
    training.update(every)
    real = count_step(lambda: training.update(every), model, training.optimizer)
    planned = plan(method, config, ROWS, LENGTH, torch.float32).peak
    assert (planned.weights, planned.optimizer) == (real.weights, real.optimizer)
    assert planned.peak == real.peak


def test_recomputed_activations_belong_to_backward(small):
    recomputing = {"gradient_checkpointing": True}
    config = small("llama", 14)
    whole = trace_update(
        fake_case("full", config, ROWS, LENGTH, torch.bfloat16, **recomputing), 14
    ).peaks
    assert whole["forward", 0].gradients == 0 < whole["backward", 0].gradients
    assert plan("full", config, ROWS, LENGTH, **recomputing).peak == highest_peak(whole.values())


def test_the_optimiser_takes_a_copy_of_all_that_trains_as_it_does_on_a_gpu(small):
    peaks = trace_update(fake_case("full", small("opt", 2), ROWS, LENGTH, torch.bfloat16), 2).peaks
    assert peaks["step", None].activations >= peaks["step", None].gradients > 0


def test_recomputing_activations_is_planned_for_too(small):
    config = small("opt", 14)
    usual, less = (
        plan("lora", config, ROWS, LENGTH),
        plan("lora", config, ROWS, LENGTH, gradient_checkpointing=True),
    )
    assert less.peak.weights == usual.peak.weights
    assert 3 * less.peak.activations < usual.peak.activations


def test_a_method_that_cannot_be_planned_is_listed_with_its_reason(small, monkeypatch):
    monkeypatch.setattr(methods, "NAMES", ("bitfit", "icl"))
    refused, planned = plan_all(small("llama", 2), ROWS, LENGTH)
    assert (refused.method, refused.peak) == ("bitfit", None)
    assert refused.refusal.startswith(
        "expected a base model with biases, LlamaForSequenceClassification has none"
    )
    assert planned.peak.peak > 0


def test_a_four_bit_model_is_planned_without_leaving_fakes_in_bitsandbytes(small):
    import bitsandbytes as bnb

    options = {"r": 1, "alpha": 1, "dropout": 0.0, "targets": None}
    four, sixteen = (
        plan(one, small("llama", 2), ROWS, LENGTH, options=options).peak
        for one in ("qlora", "lora")
    )
    assert four.weights < 0.6 * sixteen.weights  # the embeddings stay as they are
    packed, state = bnb.functional.quantize_4bit(
        torch.ones(64, 64), compress_statistics=True, quant_type="nf4"
    )
    assert bnb.functional.dequantize_4bit(packed, state).mean().item() == pytest.approx(1, abs=0.1)


def test_a_plan_leaves_the_default_type_unchanged(small):
    plan("adapter", small("opt", 2), ROWS, LENGTH)
    assert torch.get_default_dtype() is torch.float32


def test_tied_weights_are_one(small):
    config = small("opt", 2)
    assert (
        plan("pbft", config, ROWS, LENGTH).trainable
        == AutoModelForCausalLM.from_config(config).num_parameters()
    )


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_has_as_many_parameters_as_its_name_says(name):
    wanted = float(name.rpartition("-")[2].removesuffix("b"))
    found = plan("pbft", config_of(name), 1, 8).trainable / 1e9
    assert found == pytest.approx(wanted, rel=0.04)


def test_a_shape_that_does_not_exist_is_one_sentence():
    with pytest.raises(
        ShapeError,
        match=r"^expected one of opt-6.7b, llama-7b, llama-13b, a config.json .*, got 'opt-67b'$",
    ):
        config_of("opt-67b")


def test_a_file_that_is_no_configuration_is_one_sentence(tmp_path):
    file = tmp_path / "config.json"
    file.write_text("{")
    with pytest.raises(
        ShapeError,
        match=r"^expected the configuration of a transformers model in .*config.json: .*$",
    ):
        config_of(str(tmp_path))
    file.write_text(json.dumps({"model_type": "opt-of-mine"}))
    with pytest.raises(
        ShapeError,
        match=r"^expected the configuration of a transformers model in .*config.json: .*$",
    ):
        config_of(str(file))


@pytest.mark.parametrize("family", ["t5", "bart", "vit"])
def test_a_model_that_is_no_decoder_is_one_sentence(tmp_path, family):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
    with pytest.raises(
        ShapeError,
        match=rf"^expected a decoder to plan for, the {family} of .* has no causal language model$",
    ):
        config_of(str(tmp_path))
