"""The methods of this project's own are what their papers say: adapters, fusion, drop, prefixes, gates, MAM, UniPELT."""

import copy

import pytest
import torch
from pytest_ftcompare.methods.layers.bottleneck import Bottleneck
from pytest_ftcompare.methods.layers.fusion import Fusion
from pytest_ftcompare.methods.layers.gates import HALF, Gate, LayerGates
from pytest_ftcompare.methods.layers.prefix import Prefix
from pytest_ftcompare.methods.layers.text_start import start_peft_prefix

from pytest_ftcompare.experiment.evaluate import class_logits
from pytest_ftcompare.experiment.train import train, trainable
from pytest_ftcompare.experiment.trial import Trial

CLOSE = {"atol": 2e-5, "rtol": 2e-5}


def adapted(prepared):
    """The adapted model with other than its starting weights, its trial, and the base model's logits with the same head."""
    trial = Trial(prepared, 0, 4)
    torch.manual_seed(0)
    model = prepared.adapted()
    torch.manual_seed(0)
    base = class_logits(prepared.loaded().model, prepared.ask, trial.rows)
    for name, parameter in trainable(model).items():
        if "score" not in name and "classifier" not in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model, trial, base


def outputs(prepared, model, trial):
    return class_logits(model, prepared.ask, trial.rows)


def modules(model, kind):
    return [one for one in model.modules() if isinstance(one, kind)]


@pytest.mark.parametrize("ask", ["head", "pattern"])
@pytest.mark.parametrize("family", ["opt", "llama", "bert"])
@pytest.mark.parametrize("method", ["mam", "unipelt"])
def test_without_scale_or_gates_and_with_the_prefix_masked_it_is_the_base(make, method, family, ask):
    if family == "bert" and ask == "pattern":
        return
    prepared = make(method, model=f"tiny/{family}", ask=ask)
    model, trial, base = adapted(prepared)
    assert (outputs(prepared, model, trial) - base).abs().max() > 1e-3
    for one in modules(model, Bottleneck):
        one.scale = 0.0 if method == "mam" else 1.0
    for one in modules(model, Gate):
        one.forward = lambda hidden: hidden.new_zeros(len(hidden), 1, 1)
    zeroed = outputs(prepared, model, trial)
    for one in modules(model, Prefix):
        one.masked = True
    torch.testing.assert_close(outputs(prepared, model, trial), base, **CLOSE)
    # Gates at zero make a prefix of zeros, which still takes attention from the text.
    assert (zeroed - base).abs().max() > 1e-4


def test_a_prefix_of_zeros_takes_attention_and_a_masked_one_does_not(make):
    prepared = make("mam", ask="pattern")
    model, trial, base = adapted(prepared)
    for one in modules(model, Bottleneck):
        one.dropped = True
    for one in modules(model, Prefix):
        torch.nn.init.zeros_(one.key)
        torch.nn.init.zeros_(one.value)
    assert (outputs(prepared, model, trial) - base).abs().max() > 1e-2
    for one in modules(model, Prefix):
        one.masked = True
    torch.testing.assert_close(outputs(prepared, model, trial), base, **CLOSE)


def test_our_prefix_is_pefts_where_positions_are_counted_alike(make):
    """peft counts the prefix as positions before the text, ours does not: shifted by hand, both are the same function."""
    theirs, ours = make("p_tuning_v2", ask="pattern", length=5), make("mam", ask="pattern", length=5)
    trial = Trial(theirs, 0, 4)
    peft_model, own = theirs.adapted(), ours.adapted()
    embedding = peft_model.prompt_encoder["default"].embedding.weight  # (length, 2 layers x width)
    for at, one in enumerate(modules(own, Prefix)):
        parts = embedding.view(5, -1, one.key.shape[1])
        one.key.data.copy_(parts[:, 2 * at])
        one.value.data.copy_(parts[:, 2 * at + 1])
    batch = ours.ask.collate(trial.rows)
    positions = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0) + 5
    with torch.no_grad():
        shifted = own.eval()(**batch, position_ids=positions).logits[:, -1, ours.ask.verbalizers]
    torch.testing.assert_close(outputs(theirs, peft_model, trial), shifted, **CLOSE)


@pytest.mark.parametrize("method", ["prefix_tuning", "p_tuning_v2"])
def test_a_prefix_that_starts_at_text_is_that_text(make, method):
    prepared = make(method, ask="pattern", length=5)
    trial = Trial(prepared, 0, 4)
    model = prepared.adapted()
    start_peft_prefix(model, 5, trial)
    text = trial.rows[0][:5]
    as_text = class_logits(prepared.loaded().model, prepared.ask, [text + row for row in trial.rows])
    torch.testing.assert_close(outputs(prepared, model, trial), as_text, atol=1e-3, rtol=1e-3)


def test_p_tuning_v2_is_prefix_tuning_without_the_mlp_and_with_a_head(make):
    found = []
    for method in ("p_tuning_v2", "prefix_tuning"):
        prepared = make(method, ask="head", length=5)
        trial = Trial(prepared, 0, 4)
        torch.manual_seed(0)
        model = prepared.adapted()
        start_peft_prefix(model, 5, trial)
        found.append(outputs(prepared, model, trial))
        names = {name.split(".")[0] for name in trainable(model)}
        assert names == {"prompt_encoder", "base_model"}
        inside = {name for name in trainable(model) if "base_model" in name}
        assert inside == {"base_model.score.modules_to_save.default.weight"}
    torch.testing.assert_close(found[0], found[1], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("method", ["mam", "unipelt"])
def test_our_prefixes_start_at_text(make, method):
    prepared = make(method, ask="pattern", length=3)
    trial = Trial(prepared, 0, 4)
    model = prepared.adapted()
    next(iter(prepared.method.stages(model, trial)))
    ids = torch.tensor([trial.rows[0][:3]])
    cache = prepared.loaded().model.eval()(input_ids=ids, use_cache=True).past_key_values
    for one, layer in zip(modules(model, Prefix), cache.layers, strict=True):
        gate = HALF if method == "unipelt" else 1.0
        torch.testing.assert_close(one.key * gate, layer.keys[0].transpose(0, 1).flatten(1), **CLOSE)
        torch.testing.assert_close(one.value * gate, layer.values[0].transpose(0, 1).flatten(1), **CLOSE)
        assert not one.masked


def test_a_gate_does_not_see_padding(make):
    prepared = make("unipelt")
    model, trial, _ = adapted(prepared)
    rows = sorted(trial.rows, key=len)
    together = class_logits(model, prepared.ask, [rows[0], rows[-1]])
    alone = class_logits(model, prepared.ask, [rows[0]])
    assert len(rows[0]) < len(rows[-1])
    torch.testing.assert_close(together[:1], alone, **CLOSE)


def test_gates_start_half_open_and_leave_nothing_of_the_batch_behind(make):
    prepared = make("unipelt")
    model, trial, _ = adapted(prepared)
    fresh = prepared.adapted()
    seen = []
    for gate in modules(fresh, Gate):
        gate.register_forward_hook(lambda module, arguments, output: seen.append(output))
    outputs(prepared, fresh, trial)
    assert len(seen) == 3 * len(modules(fresh, Prefix))
    assert all(torch.allclose(one, torch.full_like(one, 0.5)) for one in seen)
    prepared.ask.logits(model.train(), prepared.ask.collate(trial.rows)).sum().backward()
    assert all(one.gate is None for one in modules(model, Prefix))
    assert all(one._lora is None for one in modules(model, LayerGates))


def test_dropping_no_layer_is_the_adapter_and_dropping_all_is_the_base(make):
    rows = Trial(make("adapter"), 0, 4).rows
    found = {}
    for name, options in (
        ("adapter", {"placement": "pfeiffer"}),
        ("adapter_drop", {"drop": 0}),
        ("adapter_drop", {"drop": 1}),
        ("adapter_drop", {"drop": 4}),
    ):
        prepared = make(name, ask="head", **options)
        torch.manual_seed(0)
        model = prepared.adapted()
        generator = torch.Generator().manual_seed(1)
        for one in modules(model, Bottleneck):
            one.up.weight.data.copy_(torch.randn(one.up.weight.shape, generator=generator) * 0.1)
            one.down.weight.data.copy_(torch.randn(one.down.weight.shape, generator=generator) * 0.1)
        found[name, options.get("drop")] = class_logits(model, prepared.ask, rows)
    full = make("full")
    torch.manual_seed(0)
    base = class_logits(full.loaded().model, full.ask, rows)
    full_of_them = make("adapter", placement="pfeiffer")
    torch.manual_seed(0)
    started = class_logits(full_of_them.adapted(), full_of_them.ask, rows)
    assert torch.equal(started, base)
    assert torch.equal(found["adapter", None], found["adapter_drop", 0])
    assert torch.equal(found["adapter_drop", 4], base)
    assert not torch.equal(found["adapter_drop", 1], found["adapter_drop", 0])
    assert not torch.equal(found["adapter_drop", 1], base)


def test_nothing_is_back_propagated_below_the_first_adapter_that_is_kept(make):
    prepared = make("adapter_drop", drop=1)
    model = prepared.adapted()
    trained = {name.split(".layers.")[1][0] for name in trainable(model) if ".layers." in name}
    assert trained == {"1", "2", "3"}


def test_random_drop_draws_how_many_layers_at_each_step_and_drops_the_fixed_number_in_inference(make):
    prepared = make("adapter_drop", drop=1, random=True, epochs=16)
    trial = Trial(prepared, 0, 4)
    torch.manual_seed(0)
    model = prepared.adapted()
    drawn = []

    def look(*_):
        drawn.append(tuple(one.absent for one in modules(model, Bottleneck)))

    train(model, prepared.method, trial.stage(prepared.method.recipe), 0, look)
    assert {sum(one) for one in drawn} == {0, 1, 2, 3}
    assert all(one == tuple(sorted(one, reverse=True)) for one in drawn), "the lowest are dropped"
    model.eval()
    assert [one.absent for one in modules(model, Bottleneck)] == [True, False, False, False]


@pytest.mark.parametrize("placement", ["houlsby", "pfeiffer"])
def test_an_adapter_stands_where_its_paper_puts_it(make, placement):
    model = make("adapter", placement=placement).adapted()
    adapters = [name for name, one in model.named_modules() if isinstance(one, Bottleneck)]
    places = {name.split(".layers.0.")[1] for name in adapters if ".layers.0." in name}
    assert places == {"houlsby": {"self_attn.out_proj.adapter", "fc2.adapter"}, "pfeiffer": {"fc2.adapter"}}[placement]
    norms = {name for name in trainable(model) if "norm" in name}
    assert bool(norms) == (placement == "houlsby")


def test_an_adapter_adds_to_its_modules_output():
    adapter = Bottleneck(4, 2, scale=3.0)
    x = torch.randn(5, 4)
    assert torch.equal(adapter.after(torch.nn.Identity(), (x,), x), x)
    torch.nn.init.normal_(adapter.up.weight)
    inner = torch.relu(x @ adapter.down.weight.T + adapter.down.bias)
    expected = x + 3 * (inner @ adapter.up.weight.T + adapter.up.bias)
    torch.testing.assert_close(adapter.after(torch.nn.Identity(), (x,), x), expected)


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
        expected.append(sum(score * fusion.value(one) for score, one in zip(scores, z, strict=True)))
    torch.testing.assert_close(fusion.after(torch.nn.Identity(), (h,), h), torch.stack(expected))


def test_fusion_trains_one_adapter_a_source_and_then_only_the_fusion(make):
    prepared = make("adapter_fusion", task="pocket_cola", source_shots=4, source_epochs=1)
    trial = Trial(prepared, 0, 4)
    model = prepared.adapted()
    trained = []
    for stage in prepared.method.stages(model, trial):
        inside = [name.split(".adapter.")[1].split(".") for name in trainable(model) if ".adapter." in name]
        names = {parts[1] if parts[0] == "sources" else parts[0] for parts in inside}
        trained.append((names, len(stage.rows), len(stage.own)))
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        train(model, prepared.method, stage, 0, lambda *_: None)
        moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
        assert moved <= set(trainable(model))
        if stage.own:
            assert "score.weight" not in moved, "a source has a head of its own"
    assert trained == [
        ({"pocket_cola"}, 8, 1),
        ({"pocket_mnli"}, 8, 1),
        ({"pocket_sst"}, 8, 1),
        ({"query", "key", "value"}, 8, 0),
    ]


def test_the_source_that_is_the_task_itself_sees_only_the_seeds_own_sample(make):
    prepared = make("adapter_fusion", task="pocket_cola", source_shots=50)
    trial = Trial(prepared, 0, 4)
    first, second, *_ = prepared.method.stages(prepared.adapted(), trial)
    assert (first.rows, len(second.rows)) == (trial.rows, 100)


def test_multi_task_p_tuning_trains_one_prefix_on_all_sources_with_a_head_each(make):
    prepared = make("p_tuning_v2", task="pocket_cola", sources=("pocket_mnli", "pocket_sst"), source_shots=4, epochs=1)
    trial = Trial(prepared, 0, 4)
    model = prepared.adapted()
    together, alone = prepared.method.stages(model, trial)
    assert (len(together.rows), together.targets.shape, len(together.own), len(alone.own)) == (16, (16, 2), 2, 0)
    rows = list(range(16))
    whole = together.loss(model.eval(), [together.rows[one] for one in rows], together.targets[rows])
    parts = []
    for which in (0, 1):
        mine = [one for one in rows if together.targets[one, 0] == which]
        parts.append(together.loss(model, [together.rows[one] for one in mine], together.targets[mine]))
    torch.testing.assert_close(whole, torch.stack(parts).mean())
    head = model.base_model.score.modules_to_save["default"].weight.detach().clone()
    train(model, prepared.method, together, 0, lambda *_: None)
    assert torch.equal(model.base_model.score.modules_to_save["default"].weight, head)


def test_partial_trains_the_last_layers_what_follows_them_and_the_head(make):
    model = make("partial", model="tiny/llama", layers=1).adapted()
    trained = {".".join(name.split(".")[:3]) for name in trainable(model)}
    assert trained == {"model.layers.2", "model.norm.weight", "score.weight"}


def test_bitfit_trains_biases_and_the_head_but_no_embeddings(make):
    model = make("bitfit").adapted()
    assert all(name.endswith("bias") or name == "score.weight" for name in trainable(model))


def test_every_method_of_our_own_is_made_of_modules_that_can_be_copied(make):
    for name in ("adapter", "adapter_fusion", "adapter_drop", "mam", "unipelt"):
        prepared = make(name)
        model, trial, _ = adapted(prepared)
        twin = copy.deepcopy(model)
        before = outputs(prepared, model, trial)
        for parameter in trainable(model).values():
            torch.nn.init.zeros_(parameter)
        assert torch.equal(outputs(prepared, twin, trial), before), name
