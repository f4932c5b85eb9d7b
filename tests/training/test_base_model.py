"""What `from_pretrained` loads is checked before a case gets a copy of it."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaForCausalLM, LlamaForSequenceClassification

from pytest_ftcompare.checks import tiny_models
from pytest_ftcompare.training import base_model, finite_weights
from pytest_ftcompare.training.model_kind import ModelError

WEIGHT = "model.layers.1.mlp.up_proj.weight"
MODEL_KEY = ("pattern", "decoder", 2)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return the folder of a tiny LLaMA; no model is cached."""
    monkeypatch.setattr(base_model, "_cache", type(base_model._cache)())
    return tmp_path / "models" / tiny_models.save("llama", tmp_path)


def change_file(folder, name, number):
    """Put a number into a tensor of the file."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors.setdefault(name, torch.zeros(4)).view(-1)[3] = number
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.fixture
def after_load(monkeypatch):
    """Return a function that changes each loaded model."""

    def change(action):
        for owner in (LlamaForCausalLM, LlamaForSequenceClassification):
            real = owner.from_pretrained

            def changed(*arguments, real=real, **named):
                loaded = real(*arguments, **named)
                with torch.no_grad():
                    action(loaded[0])
                return loaded

            monkeypatch.setattr(owner, "from_pretrained", changed)

    return change


@pytest.mark.parametrize("name", [WEIGHT, "model.embed_tokens.weight"])
@pytest.mark.parametrize(
    ("number", "words"), [("nan", "NaN"), ("inf", "an infinite number"), ("-inf", "an infinite")]
)
def test_a_file_with_a_number_that_is_not_finite_is_refused(folder, name, number, words):
    change_file(folder, name, float(number))
    with pytest.raises(ModelError) as raised:
        base_model.copied(folder, *MODEL_KEY)
    assert f"expected finite numbers in the model {folder}, {name} has {words}" in str(raised.value)
    assert "fetch the model again" in str(raised.value)
    with pytest.raises(ModelError) as raised:
        finite_weights.check_files(folder)
    assert f"model.safetensors, {name} has {words}" in str(raised.value)


@pytest.mark.parametrize(
    ("output_mode", "name"), [("pattern", "model.rotary_emb.inv_freq"), ("head", "score.weight")]
)
def test_a_buffer_or_head_that_the_library_left_without_numbers_is_refused(
    folder, after_load, output_mode, name
):
    def spoil(model):
        dict((*model.named_parameters(), *model.named_buffers()))[name].fill_(float("nan"))

    after_load(spoil)
    with pytest.raises(ModelError, match=f"{name} has NaN: its files do not have this tensor"):
        base_model.copied(folder, output_mode, "decoder", 2)


def test_an_infinite_buffer_is_a_mask_or_a_bound(folder, after_load):
    after_load(lambda model: model.register_buffer("upper", torch.tensor(float("inf"))))
    assert base_model.copied(folder, *MODEL_KEY).model.upper.isinf()
    change_file(folder, "layer.output_max", float("inf"))
    finite_weights.check_files(folder)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn", "int8"])
def test_every_type_of_number_is_read(folder, dtype):
    save_file({"a.weight": torch.ones(4).to(getattr(torch, dtype))}, folder / "model.safetensors")
    finite_weights.check_files(folder)
    if dtype != "int8":
        bad = torch.tensor([1, float("nan")]).to(getattr(torch, dtype))
        save_file({"a.weight": bad}, folder / "model-2.safetensors")
        finite_weights.check_files.cache_clear()
        with pytest.raises(ModelError, match=r"model-2.safetensors, a.weight has NaN"):
            finite_weights.check_files(folder)


def test_half_a_file_is_refused(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(ModelError, match=r"expected tensors in .*, it cannot be read \("):
        finite_weights.check_files(folder)


def test_quantised_weights_are_checked_in_the_files(folder, monkeypatch):
    monkeypatch.setattr(base_model, "read", lambda *_: pytest.fail("read before it was checked"))
    change_file(folder, WEIGHT, float("nan"))
    with pytest.raises(ModelError, match=f"{WEIGHT} has NaN"):
        base_model.read_finite(folder, *MODEL_KEY, {"quantization_config": None})


def test_a_model_is_checked_once_for_all_its_copies(folder, monkeypatch):
    checked = []
    monkeypatch.setattr(base_model, "check_loaded", lambda model, *_: checked.append(model))
    for _ in range(3):
        base_model.copied(folder, *MODEL_KEY)
    assert len(checked) == 1


@pytest.mark.parametrize("targets", [["q_proj"], ["lm_head"]])
def test_weights_that_were_saved_with_an_adapter_inside_are_refused(folder, targets):
    model = AutoModelForCausalLM.from_pretrained(folder)
    config = LoraConfig(target_modules=targets, task_type="CAUSAL_LM")
    get_peft_model(model, config).get_base_model().save_pretrained(folder)
    with pytest.raises(ModelError, match=r"base_layer.weight belongs to a model with an adapter"):
        base_model.copied(folder, *MODEL_KEY)


def test_weights_of_the_wrapper_are_refused(folder):
    file = folder / "model.safetensors"
    tensors = {f"base_model.model.{name}": tensor for name, tensor in load_file(file).items()}
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"base_model.model.* belongs to a model with an adapter"):
        base_model.copied(folder, *MODEL_KEY)


def test_a_language_model_without_its_head_is_refused_and_may_be_a_classifier(folder):
    file = folder / "model.safetensors"
    tensors = load_file(file)
    del tensors["lm_head.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"whole of its LlamaForCausalLM, they lack lm_head.weight: .*mode=head"
    ):
        base_model.copied(folder, *MODEL_KEY)
    assert base_model.copied(folder, "head", "decoder", 2).new_parameters == {"score.weight"}


def test_a_file_of_pytorch_is_read_and_a_file_of_an_optimizer_is_not(folder):
    weights = {"a.weight": torch.tensor([1.0, float("nan")])}
    save_file(weights, folder / "optimizer.safetensors")
    finite_weights.check_files(folder)
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    finite_weights.check_files.cache_clear()
    with pytest.raises(ModelError, match=r"pytorch_model.bin, a.weight has NaN"):
        finite_weights.check_files(folder)
    (folder / "pytorch_model.bin").write_bytes(b"half a file")
    finite_weights.check_files.cache_clear()
    with pytest.raises(ModelError, match=r"pytorch_model.bin, it cannot be read"):
        finite_weights.check_files(folder)
