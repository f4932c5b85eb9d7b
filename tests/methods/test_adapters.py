"""Test bottleneck adapters against their papers: places, output, dropped layers and fusion."""

import copy

import pytest
import torch

from pytest_ftcompare.methods.layers.bottleneck import Bottleneck, add_beside
from pytest_ftcompare.methods.layers.fusion import Fusion
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import train, trainable_parameters


def test_an_adapter_adds_to_its_modules_output():
    adapter = Bottleneck(4, 2, scale=3.0)
    x = torch.randn(5, 4)
    assert torch.equal(adapter.after(torch.nn.Identity(), (x,), x), x)
    torch.nn.init.normal_(adapter.up.weight)
    inner = torch.relu(x @ adapter.down.weight.T + adapter.down.bias)
    expected = x + 3 * (inner @ adapter.up.weight.T + adapter.up.bias)
    torch.testing.assert_close(adapter.after(torch.nn.Identity(), (x,), x), expected)


def test_a_parallel_adapter_reads_the_input_of_its_path():
    path = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 4))
    x = torch.randn(5, 4)
    alone = path(x)
    adapter = Bottleneck(4, 2, scale=3.0)
    torch.nn.init.normal_(adapter.up.weight)
    add_beside(path[0], path[2], adapter)
    torch.testing.assert_close(path(x), alone + adapter(x))


def test_mams_adapters_have_the_scale_of_the_option(make, modules):
    assert {one.scale for one in modules(make("mam", scale=2.5).adapted(), Bottleneck)} == {2.5}


@pytest.mark.parametrize("placement", ["houlsby", "pfeiffer"])
def test_an_adapter_is_where_its_paper_puts_it(make, placement):
    model = make("adapter", placement=placement).adapted()
    adapters = [name for name, one in model.named_modules() if isinstance(one, Bottleneck)]
    places = {name.split(".layers.0.")[1] for name in adapters if ".layers.0." in name}
    assert (
        places
        == {"houlsby": {"self_attn.out_proj.adapter", "fc2.adapter"}, "pfeiffer": {"fc2.adapter"}}[
            placement
        ]
    )
    norms = {name for name in trainable_parameters(model) if "norm" in name}
    assert bool(norms) == (placement == "houlsby")


def test_dropping_no_layer_is_the_adapter_and_dropping_all_is_the_base(make, modules):
    rows = PreparedSeed(make("adapter"), 0, 4).rows
    logits = {}
    for name, options in (
        ("adapter", {"placement": "pfeiffer"}),
        ("adapter_drop", {"drop": 0}),
        ("adapter_drop", {"drop": 1}),
        ("adapter_drop", {"drop": 4}),
    ):
        prepared = make(name, output_mode="head", **options)
        torch.manual_seed(0)
        model = prepared.adapted()
        generator = torch.Generator().manual_seed(1)
        for one in modules(model, Bottleneck):
            one.up.weight.data.copy_(torch.randn(one.up.weight.shape, generator=generator) * 0.1)
            one.down.weight.data.copy_(
                torch.randn(one.down.weight.shape, generator=generator) * 0.1
            )
        logits[name, options.get("drop")] = class_logits(model, prepared.interface, rows)
    full = make("full")
    torch.manual_seed(0)
    base = class_logits(full.loaded().model, full.interface, rows)
    all_adapters = make("adapter", placement="pfeiffer")
    torch.manual_seed(0)
    started = class_logits(all_adapters.adapted(), all_adapters.interface, rows)
    assert torch.equal(started, base)
    assert torch.equal(logits["adapter", None], logits["adapter_drop", 0])
    assert torch.equal(logits["adapter_drop", 4], base)
    assert not torch.equal(logits["adapter_drop", 1], logits["adapter_drop", 0])
    assert not torch.equal(logits["adapter_drop", 1], base)


def test_nothing_is_back_propagated_below_the_first_remaining_adapter(make):
    prepared = make("adapter_drop", drop=1)
    model = prepared.adapted()
    trained = {
        name.split(".layers.")[1][0] for name in trainable_parameters(model) if ".layers." in name
    }
    assert trained == {"1", "2", "3"}


def test_random_drop_draws_how_many_layers_at_each_step_and_drops_the_fixed_number_in_inference(
    make, modules
):
    prepared = make("adapter_drop", drop=1, random=True, epochs=16)
    context = PreparedSeed(prepared, 0, 4)
    torch.manual_seed(0)
    model = prepared.adapted()
    drawn = []

    def look(*_):
        drawn.append(tuple(one.is_dropped for one in modules(model, Bottleneck)))

    train(model, prepared.method, context.stage(prepared.method.recipe), 0, look)
    assert {sum(one) for one in drawn} == {0, 1, 2, 3}
    assert all(one == tuple(sorted(one, reverse=True)) for one in drawn), "the lowest are dropped"
    model.eval()
    assert [one.is_dropped for one in modules(model, Bottleneck)] == [True, False, False, False]


def test_fusion_is_attention_of_the_layers_output_over_the_adapters():
    torch.manual_seed(0)
    fusion = Fusion(4, 2, ("a", "b", "c"))
    h = torch.randn(5, 4)
    torch.testing.assert_close(fusion.after(torch.nn.Identity(), (h,), h), h)
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter)
    expected = []
    for row in h:
        z = [row + one(row) for one in fusion.sources.values()]
        scores = torch.stack([fusion.query(row) @ fusion.key(one) for one in z]).softmax(0)
        expected.append(
            sum(score * fusion.value(one) for score, one in zip(scores, z, strict=True))
        )
    torch.testing.assert_close(fusion.after(torch.nn.Identity(), (h,), h), torch.stack(expected))


def test_modules_of_this_projects_methods_can_be_copied(make, perturbed):
    for name in ("adapter", "adapter_fusion", "adapter_drop", "mam", "unipelt"):
        prepared = make(name)
        model, context, _ = perturbed(prepared)
        twin = copy.deepcopy(model)
        before = class_logits(model, prepared.interface, context.rows)
        for parameter in trainable_parameters(model).values():
            torch.nn.init.zeros_(parameter)
        assert torch.equal(class_logits(twin, prepared.interface, context.rows), before), name
