"""Test refusals before training: one sentence with what was expected, what came, what to do."""

import json
import sys

import pytest
import torch

from pytest_ftcompare.methods.base import MethodError
from pytest_ftcompare.training.model_kind import ModelError
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import train

REFUSED = [
    ("lora", {"r": 0}, "lora: expected r to be a whole number of at least 1, got 0"),
    ("dora", {"r": -3}, "dora: expected r to be a whole number of at least 1, got -3"),
    ("qlora", {"r": 1.5}, "qlora: expected r to be a whole number of at least 1, got 1.5"),
    (
        "lora",
        {"targets": ("q_proj", "query")},
        "lora: expected modules called 'query' in OPTForSequenceClassification, found none; "
        "it has ",
    ),
    ("vera", {"targets": "nothing"}, "vera: expected modules called 'nothing' in"),
    ("adalora", {"target_r": 12}, "adalora: expected target_r under init_r = 12, got 12"),
    ("adapter", {"size": 0}, "adapter: expected size to be a whole number of at least 1, got 0"),
    (
        "adapter",
        {"placement": "below"},
        "adapter: expected placement to be houlsby or pfeiffer, got 'below'",
    ),
    (
        "adapter_drop",
        {"drop": 5},
        "adapter_drop: expected drop to be at most 4, the number of layers, got 5",
    ),
    (
        "adapter_drop",
        {"drop": -1},
        "adapter_drop: expected drop to be a whole number of at least 0, got -1",
    ),
    (
        "partial",
        {"layers": 9},
        "partial: expected layers to be at most 4, the number of layers, got 9",
    ),
    (
        "adapter_fusion",
        {"sources": ()},
        "adapter_fusion: expected at least 3 different source tasks to fuse, got none",
    ),
    (
        "adapter_fusion",
        {"sources": ("pocket_sst",) * 3},
        "adapter_fusion: expected different tasks as sources, of ",
    ),
    ("oft", {"block": 32}, "_proj, 32 does not: use 40"),
    (
        "prefix_tuning",
        {"length": 0},
        "prefix_tuning: expected length to be a whole number of at least 1, got 0",
    ),
    ("p_tuning", {"encoder": "GRU"}, "p_tuning: expected encoder to be MLP or LSTM, got 'GRU'"),
    (
        "p_tuning",
        {"position": "middle"},
        "p_tuning: expected position to be front or around, got 'middle'",
    ),
]


@pytest.mark.parametrize(("method", "options", "sentence"), REFUSED)
def test_an_impossible_option_is_refused(make, method, options, sentence):
    with pytest.raises(MethodError) as found:
        make(method, **{"output_mode": "head"} | options).adapted()
    assert sentence in str(found.value)


def test_targets_that_match_nothing_are_refused_with_the_modules_that_exist(make):
    with pytest.raises(
        MethodError, match="it has fc1, fc2, k_proj, out_proj, q_proj, score, v_proj"
    ):
        make("lora", targets=("attention",)).adapted()


def test_more_virtual_tokens_than_positions_are_refused(make):
    with pytest.raises(
        ModelError,
        match=r"expected room for text beside the method's 192 tokens, opt-0\.4m has none",
    ):
        make("prompt_tuning", length=192).interface.encode(["a"])


@pytest.mark.parametrize("method", ["mam", "unipelt"])
def test_a_prefix_longer_than_the_models_length_is_refused(make, method):
    longest = make(method, length=192)
    next(longest.method.stages(longest.adapted(), PreparedSeed(longest, 0, 4)))
    longer = make(method, length=193)
    with pytest.raises(
        MethodError,
        match=f"{method}: expected length to be at most 192, the positions .* has, got 193",
    ):
        next(longer.method.stages(longer.adapted(), PreparedSeed(longer, 0, 4)))


def test_a_source_that_is_no_task_is_refused(make):
    for sources, named in (
        (("pocket_cola", "pocket_sst", "nothing"), "nothing"),
        ("cola_", "cola_"),
    ):
        with pytest.raises(
            MethodError,
            match=rf"adapter_fusion: expected different tasks as sources, of .*; got '{named}'",
        ):
            make("adapter_fusion", sources=sources).fingerprint()


def test_too_few_steps_for_adalora_are_refused_before_training(make):
    prepared = make("adalora", epochs=1)
    context = PreparedSeed(prepared, 0, 4)
    with pytest.raises(
        MethodError,
        match="adalora: expected at least 2 steps, to weigh ranks before one is cut, got 1",
    ):
        train(
            prepared.adapted(),
            prepared.method,
            context.stage(prepared.method.recipe),
            0,
            lambda *_: None,
        )


def test_qlora_without_bitsandbytes_says_what_to_install(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    from pytest_ftcompare.methods import qlora

    monkeypatch.setattr(qlora, "find_spec", lambda name: None)
    with pytest.raises(
        MethodError, match=r"qlora: expected the package bitsandbytes, .* pip install bitsandbytes"
    ):
        make("qlora")


def saved(make, folder, method="lora", **options):
    prepared = make(method, **options)
    prepared.method.save(prepared.adapted(), folder)
    return prepared


def test_a_checkpoint_of_another_method_is_refused(make, tmp_path):
    saved(make, tmp_path, "dora")
    prepared = make("lora")
    with pytest.raises(
        MethodError, match=r"expected a checkpoint with method 'lora' in .*, it has 'dora'"
    ):
        prepared.method.restore(prepared.loaded().model, tmp_path)


@pytest.mark.parametrize("method", ["lora", "adapter"])
def test_a_checkpoint_of_another_base_model_is_refused(make, tmp_path, method):
    saved(make, tmp_path, method)
    prepared = make(method, model="pocket/opt-1.4m")
    with pytest.raises(
        MethodError,
        match=r"expected a checkpoint with base 'pocket/opt-1.4m@\w+' in .*, it has 'pocket/opt-0",
    ):
        prepared.method.restore(prepared.loaded().model, tmp_path)


def test_a_checkpoint_of_another_output_mode_is_refused(make, tmp_path):
    saved(make, tmp_path, output_mode="pattern")
    prepared = make("lora")
    with pytest.raises(MethodError, match="expected a checkpoint with output_mode 'head' in"):
        prepared.method.restore(prepared.loaded().model, tmp_path)


def test_a_checkpoint_of_another_size_is_refused(make, tmp_path):
    saved(make, tmp_path, "adapter", size=8)
    prepared = make("adapter", size=16)
    with pytest.raises(
        MethodError, match=r"expected a checkpoint with option size 16 in .*, it has 8"
    ):
        prepared.method.restore(prepared.loaded().model, tmp_path)


def test_a_checkpoint_that_lacks_a_tensor_is_refused(make, tmp_path):
    from safetensors.torch import load_file, save_file

    prepared = saved(make, tmp_path, "bitfit")
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    del tensors["score.weight"]
    save_file(tensors, file)
    with pytest.raises(
        MethodError, match=r"disagree on what bitfit keeps: score.weight is in only one of them"
    ):
        prepared.method.restore(prepared.loaded().model, tmp_path)


@pytest.mark.parametrize("text", [None, "half a fi", json.dumps([1])])
def test_a_folder_that_is_no_checkpoint_is_refused(make, tmp_path, text):
    if text is not None:
        (tmp_path / "method.json").write_text(text)
    prepared = make("lora")
    with pytest.raises(MethodError, match="expected a checkpoint of lora in"):
        prepared.method.restore(prepared.loaded().model, tmp_path)


@pytest.mark.parametrize(
    ("method", "before", "now"),
    [
        ("mam", {"scale": 4.0}, {"scale": 1.0}),
        ("lora", {"r": 4}, {"r": 8}),
        ("p_tuning", {"position": "around"}, {"position": "front"}),
    ],
)
def test_a_checkpoint_with_other_options_is_refused(make, tmp_path, method, before, now):
    saved(make, tmp_path, method, **before)
    prepared = make(method, **now)
    (name,) = now
    with pytest.raises(
        MethodError,
        match=f"expected a checkpoint with option {name} {now[name]!r} in .*, "
        f"it has {before[name]!r}",
    ):
        prepared.method.restore(prepared.loaded().model, tmp_path)


def test_a_model_without_trainable_tensors_breaks_an_invariant(make):
    from pytest_ftcompare.checks.invariants import inspect

    assert inspect(make("adapter_drop", drop=4, output_mode="pattern"))[2] == [
        "something must train, no tensor requires a gradient"
    ]


def test_options_that_peft_refuses_are_reported(make):
    with pytest.raises(MethodError, match="lora: peft refuses"):
        make("lora", alpha="16").adapted()


def test_a_refused_checkpoint_does_not_change_the_model(make, tmp_path):
    saved(make, tmp_path, "dora")
    prepared = make("lora")
    torch.manual_seed(0)
    model = prepared.loaded().model
    before = {name: one.clone() for name, one in model.state_dict().items()}
    with pytest.raises(MethodError):
        prepared.method.restore(model, tmp_path)
    assert all(torch.equal(before[name], one) for name, one in model.state_dict().items())
