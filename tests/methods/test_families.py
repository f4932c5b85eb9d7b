"""Test special cases of model families; suites/test_invariants.py tests every method on each."""

import pytest

from pytest_ftcompare.checks import tiny_models
from pytest_ftcompare.checks.invariants import inspect
from pytest_ftcompare.methods.base import MethodError
from pytest_ftcompare.methods.layers.architecture import ARCHITECTURES
from pytest_ftcompare.training.run_seed import run_seed


def test_every_architecture_of_the_table_has_a_tiny_model(make):
    def model_type(family):
        return make("full", model=f"tiny/{family}", output_mode="head").interface.config.model_type

    assert {model_type(family) for family in (*tiny_models.DECODERS, *tiny_models.ENCODERS)} == set(
        ARCHITECTURES
    )


def test_an_unknown_architecture_lists_the_known_ones(make):
    with pytest.raises(
        MethodError,
        match=r"expected an architecture of opt, llama, .*, got gpt2: add where its layers are",
    ):
        inspect(make("adapter", model="tiny/gpt2"))


def test_an_encoder_decoder_model_gets_a_prefix_in_its_encoder_and_its_decoder(make):
    model = make("prefix_tuning", model="tiny/t5").adapted()
    config = model.active_peft_config
    assert (config.task_type, config.num_transformer_submodules) == ("SEQ_2_SEQ_LM", 2)


@pytest.mark.parametrize("method", ["prefix_tuning", "prompt_tuning", "p_tuning"])
@pytest.mark.parametrize("family", ["t5", "llama", "opt_post", "gemma2"])
def test_methods_that_start_at_text_train_on_every_kind_of_model(make, family, method):
    result = run_seed(
        make(method, model=f"tiny/{family}", output_mode="pattern", epochs=1), 0, lambda *_: None
    )
    assert len(result.trace.first_steps) == 1
