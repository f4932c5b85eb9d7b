"""A wrong backward pass, recomputation or compilation in a running stack is found."""

import warnings

import pytest
import torch
from peft.tuners.lora import layer as lora_layer
from torch import nn
from transformers import PreTrainedModel

from pytest_ftcompare.checks import tiny_models
from pytest_ftcompare.checks.gradient import (
    RECOMPUTATIONS,
    _largest_difference,
    check_compiled,
    check_gradient,
    check_recomputation,
)
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    hub = tmp_path_factory.mktemp("hub")

    def make(method, family="llama_uneven", output_mode="pattern"):
        case = Case(
            "test",
            method,
            tiny_models.TASKS[output_mode],
            tiny_models.save(family, hub),
            4,
            (("output_mode", output_mode),),
        )
        return prepare(case, TrainingConfig("pocket", max_length=128, hub=hub))

    return make


class Scaled(torch.autograd.Function):
    """The identity, whose gradient is a thousandth too large."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 1.001


class Unlearned(torch.autograd.Function):
    """The identity, whose gradient is zero."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return torch.zeros_like(gradient)


@pytest.fixture
def linear_with(monkeypatch):
    """Return a function that puts an operation behind every linear layer."""
    real = nn.Linear.forward

    def patch(operation):
        monkeypatch.setattr(nn.Linear, "forward", lambda self, x: operation(real(self, x)))

    return patch


@pytest.mark.parametrize("method", ["full", "lora", "dora", "qlora", "unipelt"])
def test_without_a_fault_the_gradient_is_the_derivative(prepared, method):
    assert check_gradient(prepared(method)) == []


def test_a_method_that_trains_nothing_has_no_gradient_to_check(prepared):
    assert check_gradient(prepared("icl")) == []
    assert check_recomputation(prepared("icl")) == ([], set())
    assert check_compiled(prepared("icl")) == []


@pytest.mark.parametrize("method", ["full", "lora", "dora", "prompt_tuning"])
def test_a_backward_pass_that_is_a_thousandth_off_is_found(prepared, linear_with, method):
    linear_with(Scaled.apply)
    (sentence,) = check_gradient(prepared(method))
    assert sentence.startswith("the gradient must be the derivative of the loss, along a direction")


def test_the_backward_pass_of_one_of_many_tensors_is_found(prepared, monkeypatch):
    real = lora_layer.Linear.forward

    def first_layer_only(self, x, *arguments, **named):
        output = real(self, x, *arguments, **named)
        return Scaled.apply(output) if self.lora_B["default"].out_features == 60 else output

    monkeypatch.setattr(lora_layer.Linear, "forward", first_layer_only)
    (sentence,) = check_gradient(prepared("lora"))
    assert "must be the derivative of the loss" in sentence


def test_a_backward_pass_of_float32_alone_is_found(prepared, linear_with):
    linear_with(lambda x: Scaled.apply(x) if x.dtype == torch.float32 else x)
    (sentence,) = check_gradient(prepared("lora"))
    assert sentence.startswith("the gradient must be that of double precision up to rounding, ")


def test_a_norm_of_dora_that_is_not_the_declared_constant_is_found(prepared, monkeypatch):
    from peft.tuners.lora.dora import DoraLinearLayer

    real = DoraLinearLayer.forward

    def attached(self, *arguments, **named):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.Tensor, "detach", lambda tensor: tensor)
            return real(self, *arguments, **named)

    monkeypatch.setattr(DoraLinearLayer, "forward", attached)
    (sentence,) = check_gradient(prepared("dora"))
    assert "must be the derivative of the loss" in sentence


def test_without_a_fault_recomputed_activations_keep_the_gradient(prepared):
    assert check_recomputation(prepared("lora")) == ([], set())


def test_recomputation_with_other_dropout_is_found(prepared, monkeypatch):
    real = PreTrainedModel.gradient_checkpointing_enable

    def anew(self, gradient_checkpointing_kwargs):
        real(self, {**gradient_checkpointing_kwargs, "preserve_rng_state": False})

    monkeypatch.setattr(PreTrainedModel, "gradient_checkpointing_enable", anew)
    broken, refused = check_recomputation(prepared("lora"))
    assert not refused
    assert [sentence.partition(", must keep")[0] for sentence in broken] == [
        f"gradient checkpointing, {way}" for way in RECOMPUTATIONS
    ]


def test_gradients_that_stop_at_frozen_embeddings_are_found(prepared, monkeypatch):
    """peft#2826: without a gradient of the inputs, reentrant checkpoints end the backward pass."""
    monkeypatch.setattr(PreTrainedModel, "enable_input_require_grads", lambda self: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's, of inputs without gradient
        broken, _ = check_recomputation(prepared("lora"))
    assert len(broken) == 2 and all("reentrant" in sentence for sentence in broken)


def test_a_checkpoint_that_recomputes_nothing_is_found(prepared, monkeypatch):
    monkeypatch.setattr(
        PreTrainedModel, "gradient_checkpointing_enable", lambda self, **options: None
    )
    broken, _ = check_recomputation(prepared("lora"))
    assert len(broken) == len(RECOMPUTATIONS)
    assert broken[0].endswith("must recompute, no module did")


def test_an_error_is_a_sentence_and_a_refusal_is_none(prepared, monkeypatch):
    def raising(error):
        def enable(self, **options):
            raise error

        monkeypatch.setattr(PreTrainedModel, "gradient_checkpointing_enable", enable)
        return check_recomputation(prepared("lora"))

    broken, refused = raising(RuntimeError("no graph"))
    assert not refused
    assert "must work or be refused, it raised RuntimeError: no graph (test_gradient" in broken[0]
    assert raising(ValueError("caches and checkpoints exclude each other")) == (
        [],
        {*RECOMPUTATIONS},
    )


def test_a_compiled_model_that_learns_nothing_is_found(prepared, monkeypatch):
    real = nn.Linear.forward

    def forgets(self, x):
        output = real(self, x)
        return Unlearned.apply(output) if torch.compiler.is_compiling() else output

    assert check_compiled(prepared("full")) == []
    monkeypatch.setattr(nn.Linear, "forward", forgets)
    (sentence,) = check_compiled(prepared("full"))
    assert sentence.startswith("compiled, the gradient must be the same, ")


def test_a_gradient_that_is_not_a_number_or_missing_is_found():
    expected = {"a": torch.ones(2), "b": torch.ones(2)}
    for actual, sentence in (
        ({"a": torch.ones(2), "b": torch.tensor([1.0, float("nan")])}, "b differs by nan"),
        ({"a": torch.ones(2)}, "b differs by 0.71 of the norm"),
        ({**expected, "c": torch.ones(2)}, "c differs by 0.71 of the norm"),
    ):
        assert _largest_difference(actual, expected).startswith(sentence)
    assert _largest_difference(expected, expected) == ""
    assert _largest_difference({}, {}) == "its norm is 0"


def test_a_tensor_that_is_cut_from_the_graph_is_found(prepared, monkeypatch):
    monkeypatch.setattr(
        lora_layer.Linear,
        "forward",
        lambda self, x: (
            self.base_layer(x)
            + self.lora_B["default"](x @ self.lora_A["default"].weight.detach().T)
            * self.scaling["default"]
        ),
    )
    (sentence,) = check_gradient(prepared("lora"))
    assert "must be the derivative of the loss" in sentence


def test_a_model_that_is_not_compiled_is_found(prepared, monkeypatch):
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: None)
    assert check_compiled(prepared("full")) == [
        "compiled, a model must run as graphs, none was compiled"
    ]


def test_a_forward_pass_that_raises_is_a_sentence(prepared, linear_with):
    def fails(x):
        raise RuntimeError("no kernel")

    linear_with(fails)
    for check, name in ((check_gradient, "a gradient"), (check_compiled, "a compiled model")):
        (sentence,) = check(prepared("full"))
        assert sentence.startswith(f"{name} must work, it raised RuntimeError: no kernel (")
