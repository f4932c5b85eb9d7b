"""Test a worker's caches of base models and tokens: equal to fresh ones, to the last bit."""

import pytest
import torch

from pytest_ftcompare.training import base_model


def cache_key(interface):
    """Return the arguments by which a base model is read and cached."""
    return interface.path, interface.output_mode, interface.model_kind, len(interface.task.labels)


def state(loaded):
    return {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}


def equal(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


@pytest.mark.parametrize("output_mode", ["head", "pattern"])
@pytest.mark.parametrize(
    "model",
    ["pocket/opt-0.4m", "tiny/llama", "tiny/bert", "tiny/gemma2", "tiny/gpt2", "tiny/roberta"],
)
def test_a_copy_equals_a_fresh_load_and_leaves_the_same_random_state(make, model, output_mode):
    if model in ("tiny/bert", "tiny/roberta") and output_mode == "pattern":
        pytest.skip("an encoder has no output mode pattern")
    interface = make("full", model=model, output_mode=output_mode).interface
    for seed in (0, 1):
        torch.manual_seed(seed)
        fresh, after = state(base_model.read(*cache_key(interface), {})), torch.rand(1)
        torch.manual_seed(seed)
        assert equal(state(base_model.copied(*cache_key(interface))), fresh)
        assert torch.equal(torch.rand(1), after)


def test_a_change_of_a_copy_does_not_reach_the_next_copy(make):
    interface = make("full").interface
    torch.manual_seed(0)
    first = base_model.copied(*cache_key(interface))
    before = state(first)
    with torch.no_grad():
        for parameter in first.model.parameters():
            parameter.add_(1.0)
    torch.manual_seed(0)
    assert equal(state(base_model.copied(*cache_key(interface))), before)


def test_a_model_is_read_once_and_few_are_cached(make, monkeypatch):
    reads = []
    read = base_model.read
    monkeypatch.setattr(base_model, "_cache", type(base_model._cache)())
    monkeypatch.setattr(base_model, "read", lambda *how: reads.append(how[1]) or read(*how))
    for output_mode in ("head", "head", "pattern", "head", "answer", "head", "pattern"):
        base_model.copied(*cache_key(make("full", output_mode=output_mode).interface))
    assert reads == ["head", "pattern", "answer", "pattern"]
    assert len(base_model._cache) == base_model.MAX_CACHED_MODELS


def test_cached_tokens_are_the_texts_and_cannot_be_changed(make):
    interface, longer = make("full").interface, make("full", output_mode="pattern").interface
    texts = ["the dog sleeps", "a cat", "the dog sleeps"]
    first = interface.encode(texts)
    assert first == interface.tokenizer(texts)["input_ids"]
    first[0].append(7)
    assert interface.encode(texts) == interface.tokenizer(texts)["input_ids"]
    long = ["dog " * 400]
    assert (
        interface.encode(long)[0]
        == interface.tokenizer(long, truncation=True, max_length=interface.max_length)["input_ids"][
            0
        ]
    )
    assert (
        longer.encode(long)[0]
        == longer.tokenizer(long, truncation=True, max_length=longer.max_length)["input_ids"][0]
    )


def test_tokens_are_cached_up_to_a_number_of_texts(make, monkeypatch):
    from pytest_ftcompare.training import model_io

    monkeypatch.setattr(model_io, "MAX_CACHED_TEXTS", 3)
    monkeypatch.setattr(model_io, "_encoded", type(model_io._encoded)(dict))
    interface = make("full").interface
    for texts in (["a", "b"], ["c", "d"], ["a", "d", "e", "f"]):
        assert interface.encode(texts) == interface.tokenizer(texts)["input_ids"]
