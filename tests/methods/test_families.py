"""Every method on every model family that the project supports, random and tiny: the invariants hold.

Where they do not, the sentence that says why is expected, both ways: a fault of a library that is mended shows here too.
"""

import pytest
from pytest_ftcompare.methods.base import MethodError

from pytest_ftcompare import methods
from pytest_ftcompare.experiment.invariants import inspect
from pytest_ftcompare.experiment.model import ModelError
from pytest_ftcompare.experiment.run import run_seed

OWN = ("partial", "bitfit", "adapter", "adapter_fusion", "adapter_drop", "mam", "unipelt")  # they read our table
SAMPLE = ("opt_post", "llama", "bert", "roberta")  # enough for what goes through peft
DECODERS = ("opt", "opt_post", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2")
ENCODERS = ("bert", "roberta")
PAIRS = [
    (family, method, ask)
    for family in DECODERS + ENCODERS
    for method in methods.NAMES
    for ask in methods.load(method).asks
    if (method in OWN or family in SAMPLE)
    if ask == "head" or (ask == "pattern" and family in DECODERS)
]
REFUSED = {
    **{
        (family, "bitfit"): r"expected a base model with biases, \w+ has none"
        for family in ("llama", "mistral", "qwen3", "gemma", "gemma2")
    },
    **{("gemma2", method): "expected a model that attends through scaled_dot_product" for method in ("mam", "unipelt")},
    **{(family, "context_distillation"): "expected a model that can be asked by pattern" for family in ENCODERS},
}
# peft 0.21.2 cannot unload these from a model whose head is made of several modules (docs/upstream.md).
BROKEN = {
    ("roberta", method): "it must merge into its base model, that raised AttributeError: 'RobertaClassificationHead'"
    for method in ("vera", "oft", "ia3")
}


@pytest.mark.parametrize(("family", "method", "ask"), PAIRS)
def test_no_invariant_is_broken(make, family, method, ask):
    if refusal := REFUSED.get((family, method)):
        with pytest.raises((MethodError, ModelError), match=refusal):
            inspect(make(method, model=f"tiny/{family}", ask=ask))
        return
    broken = inspect(make(method, model=f"tiny/{family}", ask=ask))[2]
    if known := BROKEN.get((family, method)):
        (sentence,) = broken
        assert sentence.startswith(known)
    else:
        assert broken == []


def test_an_unknown_architecture_lists_the_known_ones(make):
    with pytest.raises(MethodError, match=r"expected an architecture of opt, llama, .*, got gpt2: add where its layers are"):
        inspect(make("adapter", model="tiny/gpt2"))


def test_what_goes_through_peft_works_where_our_table_does_not_know_the_architecture(make):
    assert inspect(make("lora", model="tiny/gpt2"))[2] == []


def test_an_encoder_decoder_model_gets_a_prefix_in_its_encoder_and_its_decoder(make):
    prepared = make("prefix_tuning", model="tiny/t5")
    assert inspect(prepared)[2] == []
    model = prepared.adapted()
    config = model.active_peft_config
    assert (config.task_type, config.num_transformer_submodules) == ("SEQ_2_SEQ_LM", 2)


@pytest.mark.parametrize("method", ["prefix_tuning", "prompt_tuning", "p_tuning"])
@pytest.mark.parametrize("family", ["t5", "llama", "opt_post", "gemma2"])
def test_what_starts_at_text_trains_on_every_kind_of_model(make, family, method):
    sample = run_seed(make(method, model=f"tiny/{family}", ask="pattern", epochs=1), 0, lambda *_: None)
    assert len(sample.trace.first) == 1


def test_a_head_on_an_encoder_decoder_model_is_refused(make):
    with pytest.raises(ModelError, match="expected a model that can be asked by head, t5 is t5, an encoder-decoder"):
        make("full", model="tiny/t5", ask="head")
