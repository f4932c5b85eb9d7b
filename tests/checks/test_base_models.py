"""A fault of `from_pretrained` that the project's copies would hide is found in a fresh load."""

import pytest
import torch
from transformers import PreTrainedModel

from pytest_ftcompare.checks import tiny_models
from pytest_ftcompare.checks.base_models import check_base_model, check_quantised_base_model
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training import base_model
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare


@pytest.fixture
def interface(tmp_path, monkeypatch):
    """Return the interface of a tiny LLaMA with a new head; no model is cached."""
    monkeypatch.setattr(base_model, "_cache", type(base_model._cache)())
    tiny_models.save("llama", tmp_path)
    case = Case("test", "full", "pocket_sst", "tiny/llama", 4, (("output_mode", "head"),))
    return prepare(case, TrainingConfig("pocket", max_length=128, hub=tmp_path)).interface


@pytest.fixture
def after_load(monkeypatch):
    """Return a function that changes each model that `from_pretrained` has loaded."""

    def change(fault):
        real = PreTrainedModel.from_pretrained.__func__
        loads = []

        def changed(cls, *arguments, **named):
            loaded = real(cls, *arguments, **named)
            with torch.no_grad():
                fault(loaded[0] if isinstance(loaded, tuple) else loaded, len(loads))
            loads.append(cls)
            return loaded

        monkeypatch.setattr(PreTrainedModel, "from_pretrained", classmethod(changed))

    return change


def test_without_a_fault_nothing_is_broken(interface):
    assert check_base_model(interface) == []


def test_a_new_head_that_is_not_finite_is_found(interface, after_load):
    after_load(lambda model, _: model.score.weight.fill_(float("nan")))
    assert check_base_model(interface) == ["loaded, score.weight must be finite, it is not"]


def test_a_new_head_of_another_scale_is_found(interface, after_load):
    after_load(lambda model, _: model.score.weight.mul_(100))
    found = check_base_model(interface)
    assert found[0].startswith("loaded and copied, a model must have the same numbers")
    assert found[1].startswith("loaded, the new score.weight must be drawn at the config's scale")


def test_a_tensor_on_the_meta_device_is_found(interface, after_load):
    def leave_on_meta(model, _):
        model.score.weight = torch.nn.Parameter(model.score.weight.to("meta"))

    after_load(leave_on_meta)
    assert check_base_model(interface) == [
        "loaded, score.weight must have numbers, it was left on the meta device"
    ]


def test_rotary_frequencies_that_loading_left_empty_are_found(interface, after_load):
    after_load(lambda model, _: model.model.rotary_emb.inv_freq.zero_())
    assert (
        "loaded, the buffer model.rotary_emb.inv_freq must be what the config says, it is not"
        in check_base_model(interface)
    )


def test_a_second_load_that_gives_other_weights_is_found(interface, after_load):
    after_load(lambda model, loads: model.model.norm.weight.add_(0.1 * loads))
    assert check_base_model(interface) == [
        "loaded and copied, a model must have the same numbers, model.norm.weight differs"
    ]


@pytest.fixture(params=["llama_uneven", "gpt2_uneven"])
def quantised(tmp_path, request):
    """Return QLoRA on a tiny model whose widths every processor reads right."""
    pytest.importorskip("bitsandbytes")
    model = tiny_models.save(request.param, tmp_path)
    case = Case("test", "qlora", "pocket_sst", model, 4, (("output_mode", "pattern"),))
    return prepare(case, TrainingConfig("pocket", max_length=128, hub=tmp_path))


def test_without_a_fault_a_base_model_in_four_bits_is_its_file(quantised):
    assert check_quantised_base_model(quantised) == []


def test_scales_that_are_not_the_blocks_own_are_found(quantised, monkeypatch):
    from bitsandbytes import functional

    real = functional.dequantize_4bit

    def shuffled(packed, state, *arguments, **named):
        read = real(packed, state, *arguments, **named)
        return read * torch.where(torch.arange(len(read)) % 2 == 0, 1.0, 1.3)[:, None]

    monkeypatch.setattr(functional, "dequantize_4bit", shuffled)
    (first, *_) = check_quantised_base_model(quantised)
    assert first.startswith("in four bits, a weight must be the file's up to rounding, ")


def test_an_evaluation_with_other_weights_is_found(quantised, monkeypatch):
    from bitsandbytes.nn.modules import Linear4bit

    real = Linear4bit.forward
    monkeypatch.setattr(
        Linear4bit,
        "forward",
        lambda self, x: real(self, x if self.training else x.bfloat16().float()),
    )
    (sentence,) = check_quantised_base_model(quantised)
    assert sentence.startswith("in four bits, evaluation must compute with the weights that")


def test_a_quantisation_that_is_not_done_is_found(quantised, monkeypatch):
    monkeypatch.setattr(type(quantised.method), "load_options", lambda self: {})
    plain = prepare(quantised.case, quantised.config)
    assert check_quantised_base_model(plain) == [
        "in four bits, a base model must have 4-bit layers, it has none"
    ]


def test_weights_that_are_not_the_files_are_found(interface, after_load):
    after_load(lambda model, _: model.model.norm.weight.fill_(1.0))
    assert check_base_model(interface) == [
        "loaded, model.norm.weight must be the file's, it is not"
    ]


def test_a_head_that_every_seed_draws_alike_is_found(interface, after_load):
    def draw(model, _):
        generator = torch.Generator().manual_seed(0)
        model.score.weight.normal_(0, 0.2, generator=generator)

    after_load(draw)
    assert "loaded with another seed, the new score.weight must be drawn anew, it is the same" in (
        check_base_model(interface)
    )


def test_a_second_load_that_leaves_its_head_empty_is_found(interface, after_load):
    def empty(model, loads):
        if loads > 1:
            model.score.weight.zero_()

    after_load(empty)
    assert any(
        sentence.startswith("loaded, the new score.weight must be drawn at the config's scale")
        for sentence in check_base_model(interface)
    )
