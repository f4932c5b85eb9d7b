"""Test the contract of every method, in each of its output modes."""

import dataclasses
import json

import pytest
import torch

from pytest_ftcompare import methods
from pytest_ftcompare.checks.invariants import inspect
from pytest_ftcompare.methods.base import MethodError, Recipe
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.run_seed import run_seed
from pytest_ftcompare.training.train import backward, train, trainable_parameters

TRAINED = [name for name in methods.NAMES if methods.load(name).trains]
TASKS = {"head": "pocket_sst", "pattern": "pocket_sst", "answer": "pocket_instructions"}
PAIRS = [
    (name, output_mode) for name in methods.NAMES for output_mode in methods.load(name).output_modes
]
TRAINED_PAIRS = [(name, output_mode) for name, output_mode in PAIRS if name in TRAINED]
TOLERANCE = 1e-4  # of gradients and updates in float32, relative to the global norm


def silent(*_):
    pass


def quick(make, method, seed=0, **options):
    options = {"epochs": 2, **options} if methods.load(method).trains else options
    return run_seed(make(method, **options), seed, silent)


def trained(prepared):
    """Return a model after the method's last stage of two epochs, and the seed's context."""
    context = PreparedSeed(prepared, 0, 4)
    torch.manual_seed(0)
    model = prepared.adapted()
    train(model, prepared.method, context.stage(prepared.method.recipe), 0, silent)
    return model, context


@pytest.mark.parametrize(("method", "output_mode"), PAIRS)
def test_no_invariant_is_broken(make, method, output_mode):
    _, _, broken = inspect(make(method, output_mode=output_mode, task=TASKS[output_mode]))
    assert broken == []


@pytest.mark.parametrize("method", methods.NAMES)
def test_a_seed_repeats_to_the_last_bit_and_another_differs(make, method):
    first = quick(make, method)
    again = quick(make, method)
    assert (first.trace, first.metrics, first.correct) == (
        again.trace,
        again.metrics,
        again.correct,
    )
    other = quick(make, method, seed=1)
    assert other.training_rows != first.training_rows
    assert (other.correct, other.metrics) != (first.correct, first.metrics)


@pytest.mark.parametrize(("method", "output_mode"), TRAINED_PAIRS)
def test_only_trainable_tensors_change_in_two_updates(make, method, output_mode):
    prepared = make(
        method, output_mode=output_mode, task=TASKS[output_mode], epochs=2, batch_size=8
    )
    context = PreparedSeed(prepared, 0, 4)
    torch.manual_seed(0)
    model = prepared.adapted()
    before = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    declared = set(trainable_parameters(model))
    train(model, prepared.method, context.stage(prepared.method.recipe), 0, silent)
    now = model.state_dict()
    changed = {name for name in before if not torch.equal(now[name], before[name])}
    tied = {"lm_head.weight": "model.decoder.embed_tokens.weight"}
    assert {tied.get(name, name) for name in changed} <= declared
    # A key's bias has no gradient (softmax hides it), but Adam may move it by rounding noise.
    # AdaLoRA's allocator may set a matrix's singular values back to zero.
    assert {
        name for name in declared - changed if "k_proj.bias" not in name and "lora_E" not in name
    } == set()


@pytest.mark.parametrize("method", TRAINED)
def test_dropout_is_on_in_training_and_off_in_evaluation(make, method):
    prepared = make(method)
    context = PreparedSeed(prepared, 0, 4)
    model = prepared.adapted()
    assert torch.equal(
        class_logits(model, prepared.interface, context.rows),
        class_logits(model, prepared.interface, context.rows),
    )
    modes = []
    train(
        model,
        prepared.method,
        context.stage(prepared.method.recipe),
        0,
        lambda *_: modes.append(model.training),
    )
    assert modes and all(modes)
    with torch.no_grad():
        first, second = (
            prepared.interface.logits(model, prepared.interface.collate(context.rows))
            for _ in range(2)
        )
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("method", "output_mode"), TRAINED_PAIRS)
def test_a_saved_checkpoint_loads_to_the_last_bit(make, tmp_path, method, output_mode):
    prepared = make(method, output_mode=output_mode, task=TASKS[output_mode], epochs=2)
    model, context = trained(prepared)
    prepared.method.save(model, tmp_path)
    torch.manual_seed(7)  # another fresh head, which must be overwritten
    again = prepared.method.restore(prepared.loaded().model, tmp_path)
    trained_logits, read_logits = (
        class_logits(one, prepared.interface, context.rows) for one in (model, again)
    )
    # AdaLoRA saves no pruned ranks, and a sum over fewer ranks rounds differently.
    if method == "adalora":
        torch.testing.assert_close(trained_logits, read_logits)
    else:
        assert torch.equal(trained_logits, read_logits)
    assert json.loads((tmp_path / "method.json").read_text())["method"] == method
    assert {one.suffix for one in tmp_path.iterdir()} <= {".safetensors", ".json", ".md"}


def gradients_of(prepared):
    """Return one batch's gradients in training mode, with a fixed random state, and the model."""
    stage = PreparedSeed(prepared, 0, 4).stage(prepared.method.recipe)
    torch.manual_seed(0)
    model = prepared.adapted()
    model.train()
    torch.manual_seed(1)
    backward(model, stage, list(range(len(stage.rows))), 1)
    return {
        name: p.grad for name, p in trainable_parameters(model).items() if p.grad is not None
    }, model


@pytest.mark.parametrize("method", TRAINED)
def test_gradient_checkpointing_gives_the_same_gradients_or_is_refused(make, method):
    plain, _ = gradients_of(make(method))
    prepared = make(method, gradient_checkpointing=True)
    if method in ("prefix_tuning", "p_tuning_v2"):
        with pytest.raises(
            MethodError, match=r"peft refuses .* does not work with gradient checkpointing"
        ):
            gradients_of(prepared)
        return
    found, model = gradients_of(prepared)
    layers = [one for one in model.modules() if getattr(one, "gradient_checkpointing", False)]
    assert layers, "checkpointing must really be on"
    norm = sum(one.norm().item() ** 2 for one in plain.values()) ** 0.5
    assert plain.keys() == found.keys()
    for name, gradient in plain.items():
        assert (gradient - found[name]).norm().item() <= TOLERANCE * norm, name


@pytest.mark.parametrize(("method", "output_mode"), TRAINED_PAIRS)
def test_eight_micro_batches_of_different_lengths_give_the_gradient_of_one_batch(
    make, method, output_mode
):
    prepared = make(
        method, output_mode=output_mode, task={**TASKS, "head": "pocket_cola"}[output_mode]
    )
    stage = PreparedSeed(prepared, 0, 8).stage(prepared.method.recipe)
    assert len({len(row) for row in stage.rows}) > 3
    model = prepared.adapted()
    model.eval()
    gradients = []
    for micro_batches in (1, 8):
        model.zero_grad()
        backward(model, stage, list(range(len(stage.rows))), micro_batches)
        gradients.append(
            {
                name: p.grad.clone()
                for name, p in trainable_parameters(model).items()
                if p.grad is not None
            }
        )
    norm = sum(one.norm().item() ** 2 for one in gradients[0].values()) ** 0.5
    for name, gradient in gradients[0].items():
        assert (gradient - gradients[1][name]).norm().item() <= TOLERANCE * norm, name


@pytest.mark.parametrize(
    "method", [name for name in methods.NAMES if not methods.load(name).mergeable]
)
def test_a_method_that_cannot_merge_refuses(make, method):
    prepared = make(method)
    with pytest.raises(MethodError, match=f"{method} cannot be merged into its base model"):
        prepared.method.merge(prepared.adapted())


# PEFT 0.21.2; docs/upstream.md has the reproduction.
UPSTREAM = {
    "ln_tuning": "LNTuningModel.merge_and_unload leaves the classification head in its "
    "ModulesToSaveWrapper",
}
MERGEABLE = [
    pytest.param(
        name,
        marks=[pytest.mark.xfail(strict=True, reason=UPSTREAM[name])] if name in UPSTREAM else [],
    )
    for name in methods.NAMES
    if methods.load(name).mergeable
]


@pytest.mark.parametrize("method", MERGEABLE)
def test_a_merged_model_is_a_plain_base_model(make, method):
    prepared = make(method)
    merged = prepared.method.merge(prepared.adapted())
    assert set(dict(merged.named_parameters())) == set(
        dict(prepared.loaded().model.named_parameters())
    )


def test_an_unknown_method_lists_the_known_ones():
    with pytest.raises(LookupError, match="expected one of full, pbft, icl, partial"):
        methods.load("lorra")


def test_the_error_of_a_method_file_names_the_file(monkeypatch):
    monkeypatch.setattr(methods, "NAMES", ("missing",))
    with pytest.raises(
        methods.MethodFileError,
        match=r"methods/missing\.py could not be loaded: ModuleNotFoundError",
    ):
        methods.load("missing")


def test_no_option_of_a_method_has_the_name_of_a_recipe_field():
    fields = {one.name for one in dataclasses.fields(Recipe)} | {"output_mode"}
    for name in methods.NAMES:
        for recipe in methods.load(name).recipes.values():
            assert fields.isdisjoint(recipe.options), name


def test_every_name_belongs_to_its_method():
    for name in methods.NAMES:
        assert methods.load(name).name == name
        assert set(methods.load(name).recipes) - {"pocket, answer", "paper, answer"} == {
            "pocket",
            "paper",
        }
