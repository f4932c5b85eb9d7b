"""Test PEFT's methods against their papers: AdaLoRA, kinds of LoRA, QLoRA, soft tokens and more."""

import math

import pytest
import torch
from peft import AdaLoraModel

from pytest_ftcompare.methods.base import MethodError
from pytest_ftcompare.methods.layers.soft_tokens import SoftTokens
from pytest_ftcompare.methods.layers.text_start import start_soft_tokens
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import train, trainable_parameters


def silent(*_):
    pass


def test_lora_trains_query_and_value_and_the_head(make):
    prepared = make("lora", r=4)
    model = prepared.adapted()
    assert {name.split(".")[-4] for name in trainable_parameters(model) if "lora" in name} == {
        "q_proj",
        "v_proj",
    }
    assert [name for name in trainable_parameters(model) if "lora" not in name] == [
        "base_model.model.score.modules_to_save.default.weight"
    ]


def test_targets_may_be_named(make):
    model = make("lora", targets=("fc1",)).adapted()
    assert {name.split(".")[-4] for name in trainable_parameters(model) if "lora" in name} == {
        "fc1"
    }


def lora_layers(model):
    return [one for one in model.modules() if hasattr(one, "lora_A") and hasattr(one, "scaling")]


@pytest.mark.parametrize(
    ("method", "scale"),
    [("lora", 16 / 4), ("rslora", 16 / math.sqrt(4)), ("dora", 16 / 4), ("pissa", 16 / 4)],
)
def test_the_scale_is_alpha_over_r_and_for_rslora_alpha_over_its_root(make, method, scale):
    model = make(method, r=4, alpha=16).adapted()
    assert {one.scaling["default"] for one in lora_layers(model)} == {scale}


def test_dora_starts_at_the_norms_of_the_base_weights(make):
    model = make("dora").adapted()
    for one in lora_layers(model):
        magnitude = one.lora_magnitude_vector["default"].weight
        torch.testing.assert_close(magnitude, one.base_layer.weight.norm(dim=1))


def test_pissa_splits_the_base_weight_at_its_principal_part(make):
    prepared = make("pissa", r=4, alpha=4)
    base = dict(prepared.loaded().model.named_parameters())
    model = prepared.adapted()
    for name, one in model.named_modules():
        if not hasattr(one, "lora_A"):
            continue
        whole = base[f"{name.removeprefix('base_model.model.')}.weight"]
        principal = one.lora_B["default"].weight @ one.lora_A["default"].weight
        torch.testing.assert_close(one.base_layer.weight + principal, whole, atol=1e-5, rtol=1e-5)
        expected = torch.linalg.svdvals(whole)[:4]
        torch.testing.assert_close(
            torch.linalg.svdvals(principal)[:4], expected, atol=1e-4, rtol=1e-4
        )


def adalora_run(make, **options):
    prepared = make("adalora", epochs=20, **options)
    context = PreparedSeed(prepared, 0, 4)
    torch.manual_seed(0)
    model = prepared.adapted()
    allocator, budgets, calls = model.base_model.rankallocator, [], []
    real = allocator.update_and_allocate
    allocator.update_and_allocate = lambda *given, **named: (
        calls.append(given[1]) or real(*given, **named)
    )

    def look(step, steps, loss):
        kept = sum((one.lora_E["default"] != 0).sum().item() for one in lora_layers(model))
        budgets.append((step, allocator.budget_schedule(step)[0], kept))

    train(model, prepared.method, context.stage(prepared.method.recipe), 0, look)
    return prepared, model, budgets, calls


def test_adaloras_budget_never_rises_and_ends_at_its_target(make):
    _, model, budgets, calls = adalora_run(make)
    matrices = len(lora_layers(model))
    planned = [budget for _, budget, _ in budgets]
    assert planned == sorted(planned, reverse=True)
    assert planned[0] == 12 * matrices and planned[-1] == 8 * matrices
    assert budgets[-1][2] == 8 * matrices, "so many singular values are left"
    config = model.peft_config["default"]
    assert (config.total_step, config.tinit, config.tfinal) == (20, 2, 6)
    assert calls == list(range(1, 15)), "the allocator sees every step up to the final phase"


def test_adalora_that_cuts_no_rank_is_refused(make, monkeypatch):
    monkeypatch.setattr(AdaLoraModel, "update_and_allocate", lambda self, step: None)
    with pytest.raises(
        MethodError,
        match=r"expected its budget of \d+ singular values to be met .* peft did not cut them",
    ):
        adalora_run(make)


def test_adaloras_penalty_equals_pefts_addition_to_the_models_own_loss(make):
    prepared = make("adalora")
    model = prepared.adapted()
    model.eval()
    context = PreparedSeed(prepared, 0, 4)
    batch = prepared.interface.collate(context.rows)
    with torch.no_grad():
        found = model(**batch, labels=context.labels)
        own = torch.nn.functional.cross_entropy(found.logits, context.labels)
        torch.testing.assert_close(
            found.loss - own, prepared.method.penalty(model), atol=1e-6, rtol=1e-5
        )


def test_adalora_saves_and_loads_only_the_remaining_ranks(make, tmp_path):
    from safetensors.torch import load_file

    prepared, model, _, _ = adalora_run(make)
    prepared.method.save(model, tmp_path)
    kept = sum(
        one.numel()
        for name, one in load_file(tmp_path / "adapter_model.safetensors").items()
        if "lora_E" in name
    )
    assert kept == 8 * len(lora_layers(model))
    again = prepared.method.restore(prepared.loaded().model, tmp_path)
    rows = PreparedSeed(prepared, 0, 4).rows
    # Equal up to rounding, because a sum over fewer ranks has another order.
    torch.testing.assert_close(
        class_logits(model, prepared.interface, rows), class_logits(again, prepared.interface, rows)
    )


def test_qloras_base_is_in_four_bits_with_doubly_quantised_constants_and_its_head_is_not(make):
    from bitsandbytes.nn.modules import Linear4bit

    model = make("qlora", model="pocket/opt-1.4m").adapted()
    layers = {name: one for name, one in model.named_modules() if isinstance(one, Linear4bit)}
    assert len(layers) == 4 * 6
    for name, one in layers.items():
        state = one.weight.quant_state
        assert (state.quant_type, state.nested, one.weight.dtype) == ("nf4", True, torch.uint8), (
            name
        )
        assert one.weight.numel() * 2 == state.shape.numel()
    assert {name.split(".")[-4] for name in trainable_parameters(model) if "lora" in name} == {
        *("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
    }


def test_a_four_bit_base_computes_the_same_in_training_and_in_evaluation(make):
    prepared = make("qlora", dropout=0.0)
    model = prepared.adapted()
    for one in model.modules():
        if hasattr(one, "dropout") and isinstance(one.dropout, float):
            one.dropout = 0.0
    batch = prepared.interface.collate(PreparedSeed(prepared, 0, 4).rows)
    with torch.no_grad():
        first = prepared.interface.logits(model.eval(), batch)
        assert torch.equal(prepared.interface.logits(model.train(), batch), first)
        assert torch.equal(prepared.interface.logits(model.eval(), batch), first)


@pytest.mark.parametrize("output_mode", ["head", "pattern"])
@pytest.mark.parametrize("position", ["front", "around"])
@pytest.mark.parametrize("encoder", ["MLP", "LSTM"])
def test_p_tunings_encoders_and_positions_keep_the_contract(make, encoder, position, output_mode):
    from pytest_ftcompare.checks.invariants import inspect

    assert (
        inspect(make("p_tuning", encoder=encoder, position=position, output_mode=output_mode))[2]
        == []
    )


@pytest.mark.parametrize("encoder", ["MLP", "LSTM"])
def test_soft_tokens_start_at_the_embeddings_of_the_first_training_tokens(make, encoder):
    prepared = make("p_tuning", encoder=encoder, position="around", length=4, output_mode="pattern")
    context = PreparedSeed(prepared, 0, 4)
    model = prepared.adapted()
    assert isinstance(model, SoftTokens)
    start_soft_tokens(model, 4, context)
    expected = model.model.get_input_embeddings()(torch.tensor(context.rows[0][:4]))
    torch.testing.assert_close(
        model.prompt_encoder(torch.arange(4)), expected, atol=1e-5, rtol=1e-4
    )


def test_soft_tokens_around_are_half_before_and_half_after_the_text(make):
    prepared = make("p_tuning", position="around", length=5, output_mode="pattern")
    context = PreparedSeed(prepared, 0, 4)
    model = prepared.adapted()
    start_soft_tokens(model, 5, context)
    soft, interface = context.rows[0][:5], prepared.interface
    whole = class_logits(
        prepared.loaded().model, interface, [soft[:2] + row + soft[2:] for row in context.rows]
    )
    torch.testing.assert_close(
        class_logits(model, interface, context.rows), whole, atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize(
    ("method", "room"),
    [("prompt_tuning", 182), ("p_tuning", 187), ("prefix_tuning", 182), ("lora", 192)],
)
def test_virtual_tokens_take_positions_from_the_text(make, method, room):
    assert make(method).interface.max_length == room


def test_ia3_also_scales_three_activations_per_layer_of_an_encoder(make):
    model = make("ia3", model="tiny/bert").adapted()
    names = [name for name in trainable_parameters(model) if "ia3" in name]
    assert len(names) == 3 * 2 and not [name for name in names if "attention.output" in name]


@pytest.mark.parametrize("model", ["tiny/bert", "tiny/llama"])
def test_soft_tokens_around_do_not_see_padding(make, model):
    from pytest_ftcompare.checks.invariants import inspect

    assert inspect(make("p_tuning", position="around", model=model, output_mode="head"))[2] == []


def test_ia3_starts_at_one_on_keys_values_and_the_inner_activations(make):
    model = make("ia3").adapted()
    vectors = {
        name.split(".")[-3]: p for name, p in trainable_parameters(model).items() if "ia3" in name
    }
    assert set(vectors) == {"k_proj", "v_proj", "fc2"}
    assert all(torch.equal(one, torch.ones_like(one)) for one in vectors.values())
    assert vectors["fc2"].numel() == model.config.ffn_dim, "the feed-forward's inner activations"


def test_oft_keeps_the_angles_between_a_matrixs_neurons(make):
    prepared = make("oft", model="pocket/opt-1.4m", epochs=2)
    context = PreparedSeed(prepared, 0, 4)
    base = dict(prepared.loaded().model.named_parameters())
    torch.manual_seed(0)
    model = prepared.adapted()
    train(model, prepared.method, context.stage(prepared.method.recipe), 0, silent)
    merged = dict(prepared.method.merge(model).named_parameters())
    for name, before in base.items():
        if name.endswith("q_proj.weight"):
            now = merged[name]
            assert (now - before).abs().max() > 1e-3
            torch.testing.assert_close(now @ now.T, before @ before.T, atol=2e-3, rtol=2e-3)


def test_veras_projections_are_shared_by_all_layers_and_never_trained(make):
    model = make("vera").adapted()
    layers = [one for one in model.modules() if hasattr(one, "vera_lambda_b")]
    assert len({id(one.vera_A["default"]) for one in layers}) == 1
    assert {name.split(".")[-2] for name in trainable_parameters(model) if "vera" in name} == {
        "vera_lambda_b",
        "vera_lambda_d",
    }


def test_ln_tuning_trains_every_normalisation_layer_and_nothing_else_but_the_head(make):
    model = make("ln_tuning").adapted()
    assert all("norm" in name or "score" in name for name in trainable_parameters(model))
    assert len([name for name in trainable_parameters(model) if "norm" in name]) == 2 * (2 * 4 + 1)
