"""Test prefixes and prompts: positions, masked prefixes, and their start at text."""

import pytest
import torch

from pytest_ftcompare.methods.layers.bottleneck import Bottleneck
from pytest_ftcompare.methods.layers.gates import INITIAL_GATE
from pytest_ftcompare.methods.layers.prefix import Prefix
from pytest_ftcompare.methods.layers.text_start import start_peft_prefix
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import trainable_parameters

CLOSE = {"atol": 2e-5, "rtol": 2e-5}


def test_a_prefix_of_zeros_takes_attention_and_a_masked_one_does_not(make, perturbed, modules):
    prepared = make("mam", output_mode="pattern")
    model, context, base = perturbed(prepared)
    for one in modules(model, Bottleneck):
        one.dropped = True
    for one in modules(model, Prefix):
        torch.nn.init.zeros_(one.key)
        torch.nn.init.zeros_(one.value)
    assert (class_logits(model, prepared.interface, context.rows) - base).abs().max() > 1e-2
    for one in modules(model, Prefix):
        one.masked = True
    torch.testing.assert_close(class_logits(model, prepared.interface, context.rows), base, **CLOSE)


def test_our_prefix_equals_pefts_at_the_same_positions(make, modules):
    """PEFT counts prefix positions before the text; ours does not, so the test shifts them."""
    theirs, ours = (
        make("p_tuning_v2", output_mode="pattern", length=5),
        make("mam", output_mode="pattern", length=5),
    )
    context = PreparedSeed(theirs, 0, 4)
    peft_model, own = theirs.adapted(), ours.adapted()
    embedding = peft_model.prompt_encoder["default"].embedding.weight  # (length, 2 layers x width)
    for at, one in enumerate(modules(own, Prefix)):
        parts = embedding.view(5, -1, one.key.shape[1])
        one.key.data.copy_(parts[:, 2 * at])
        one.value.data.copy_(parts[:, 2 * at + 1])
    batch = ours.interface.collate(context.rows)
    positions = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0) + 5
    with torch.no_grad():
        shifted = own.eval()(**batch, position_ids=positions).logits[
            :, -1, ours.interface.verbalizers
        ]
    torch.testing.assert_close(
        class_logits(peft_model, theirs.interface, context.rows), shifted, **CLOSE
    )


# Learned positions, and rotations.
@pytest.mark.parametrize("model", ["pocket/opt-0.4m", "tiny/llama"])
@pytest.mark.parametrize("method", ["prefix_tuning", "p_tuning_v2", "prompt_tuning", "p_tuning"])
def test_a_start_at_text_equals_the_text_before_the_row(make, method, model):
    prepared = make(method, model=model, output_mode="pattern", length=5)
    context = PreparedSeed(prepared, 0, 4)
    adapted = prepared.adapted()
    next(prepared.method.stages(adapted, context))
    text = context.rows[0][:5]
    as_text = class_logits(
        prepared.loaded().model, prepared.interface, [text + row for row in context.rows]
    )
    found = class_logits(adapted, prepared.interface, context.rows)
    torch.testing.assert_close(found, as_text, **CLOSE)


def test_p_tuning_v2_is_prefix_tuning_without_the_mlp_and_with_a_head(make):
    found = []
    for method in ("p_tuning_v2", "prefix_tuning"):
        prepared = make(method, output_mode="head", length=5)
        context = PreparedSeed(prepared, 0, 4)
        torch.manual_seed(0)
        model = prepared.adapted()
        start_peft_prefix(model, 5, context)
        found.append(class_logits(model, prepared.interface, context.rows))
        names = {name.split(".")[0] for name in trainable_parameters(model)}
        assert names == {"prompt_encoder", "base_model"}
        inside = {name for name in trainable_parameters(model) if "base_model" in name}
        assert inside == {"base_model.score.modules_to_save.default.weight"}
    torch.testing.assert_close(found[0], found[1], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("method", ["mam", "unipelt"])
def test_our_prefixes_start_at_text(make, modules, method):
    prepared = make(method, output_mode="pattern", length=3)
    context = PreparedSeed(prepared, 0, 4)
    model = prepared.adapted()
    next(iter(prepared.method.stages(model, context)))
    ids = torch.tensor([context.rows[0][:3]])
    cache = prepared.loaded().model.eval()(input_ids=ids, use_cache=True).past_key_values
    for one, layer in zip(modules(model, Prefix), cache.layers, strict=True):
        gate = INITIAL_GATE if method == "unipelt" else 1.0
        torch.testing.assert_close(
            one.key * gate, layer.keys[0].transpose(0, 1).flatten(1), **CLOSE
        )
        torch.testing.assert_close(
            one.value * gate, layer.values[0].transpose(0, 1).flatten(1), **CLOSE
        )
        assert not one.masked
