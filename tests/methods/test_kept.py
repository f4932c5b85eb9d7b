"""What a worker keeps for its other cases: base models and tokens. Each is what a fresh one would be, to the last bit."""

import pytest
import torch

from pytest_ftcompare.training import base_model


def what(interface):
    """What a base model is read and kept by."""
    return interface.path, interface.output_mode, interface.kind, len(interface.task.labels)


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
def test_a_copy_is_what_a_fresh_load_would_be_and_leaves_the_generator_where_that_would(
    make, model, output_mode
):
    if model in ("tiny/bert", "tiny/roberta") and output_mode == "pattern":
        pytest.skip("an encoder is not asked by pattern")
    interface = make("full", model=model, output_mode=output_mode).interface
    for seed in (0, 1):
        torch.manual_seed(seed)
        fresh, after = state(base_model.read(*what(interface), {})), torch.rand(1)
        torch.manual_seed(seed)
        assert equal(state(base_model.copied(*what(interface))), fresh)
        assert torch.equal(torch.rand(1), after)


def test_what_is_done_to_a_copy_is_not_done_to_the_next(make):
    interface = make("full").interface
    torch.manual_seed(0)
    first = base_model.copied(*what(interface))
    before = state(first)
    with torch.no_grad():
        for one in first.model.parameters():
            one.add_(1.0)
    torch.manual_seed(0)
    assert equal(state(base_model.copied(*what(interface))), before)


def test_a_model_is_read_once_and_few_are_kept(make, monkeypatch):
    reads = []
    read = base_model.read
    monkeypatch.setattr(base_model, "_cache", type(base_model._cache)())
    monkeypatch.setattr(base_model, "read", lambda *how: reads.append(how[1]) or read(*how))
    for output_mode in ("head", "head", "pattern", "head", "answer", "head", "pattern"):
        base_model.copied(*what(make("full", output_mode=output_mode).interface))
    assert reads == ["head", "pattern", "answer", "pattern"]
    assert len(base_model._cache) == base_model.MAX_CACHED_MODELS


def test_kept_tokens_are_those_of_the_text_and_nobody_can_spoil_them(make):
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


def test_tokens_are_kept_up_to_a_number_of_texts(make, monkeypatch):
    from pytest_ftcompare.training import model_io as asking

    monkeypatch.setattr(asking, "KEPT", 3)
    monkeypatch.setattr(asking, "_encoded", type(asking._encoded)(dict))
    interface = make("full").interface
    for texts in (["a", "b"], ["c", "d"], ["a", "d", "e", "f"]):
        assert interface.encode(texts) == interface.tokenizer(texts)["input_ids"]
