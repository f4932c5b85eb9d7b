"""Test MAM and UniPELT: without their parts they are the base model; gates follow the paper."""

import pytest
import torch

from pytest_ftcompare.methods.layers.bottleneck import Bottleneck
from pytest_ftcompare.methods.layers.gates import Gate, LayerGates
from pytest_ftcompare.methods.layers.prefix import Prefix
from pytest_ftcompare.training.evaluate import class_logits

CLOSE = {"atol": 2e-5, "rtol": 2e-5}


@pytest.mark.parametrize(
    ("family", "output_mode"),
    [
        ("opt", "head"),
        ("opt", "pattern"),
        ("llama", "head"),
        ("llama", "pattern"),
        ("bert", "head"),
    ],
)
@pytest.mark.parametrize("method", ["mam", "unipelt"])
def test_without_scale_or_gates_and_with_the_prefix_masked_it_is_the_base(
    make, perturbed, modules, method, family, output_mode
):
    prepared = make(method, model=f"tiny/{family}", output_mode=output_mode)
    model, context, base = perturbed(prepared)
    assert (class_logits(model, prepared.interface, context.rows) - base).abs().max() > 1e-3
    for one in modules(model, Bottleneck):
        one.scale = 0.0 if method == "mam" else 1.0
    for one in modules(model, Gate):
        one.forward = lambda hidden: hidden.new_zeros(len(hidden), 1, 1)
    zeroed = class_logits(model, prepared.interface, context.rows)
    for one in modules(model, Prefix):
        one.masked = True
    torch.testing.assert_close(class_logits(model, prepared.interface, context.rows), base, **CLOSE)
    # Gates at zero make a prefix of zeros, which still takes attention from the text.
    assert (zeroed - base).abs().max() > 1e-4


def test_a_gate_does_not_see_padding(make, perturbed):
    prepared = make("unipelt")
    model, context, _ = perturbed(prepared)
    rows = sorted(context.rows, key=len)
    together = class_logits(model, prepared.interface, [rows[0], rows[-1]])
    alone = class_logits(model, prepared.interface, [rows[0]])
    assert len(rows[0]) < len(rows[-1])
    torch.testing.assert_close(together[:1], alone, **CLOSE)


def test_gates_start_half_open_and_forget_the_batch(make, perturbed, modules):
    prepared = make("unipelt")
    model, context, _ = perturbed(prepared)
    fresh = prepared.adapted()
    seen = []
    for gate in modules(fresh, Gate):
        gate.register_forward_hook(lambda module, arguments, output: seen.append(output))
    class_logits(fresh, prepared.interface, context.rows)
    assert len(seen) == 3 * len(modules(fresh, Prefix))
    assert all(torch.allclose(one, torch.full_like(one, 0.5)) for one in seen)
    prepared.interface.logits(
        model.train(), prepared.interface.collate(context.rows)
    ).sum().backward()
    assert all(one.gate is None for one in modules(model, Prefix))
    assert all(one._lora is None for one in modules(model, LayerGates))
