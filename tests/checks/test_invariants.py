"""Each invariant is broken by a fault in a running stack, and reports its sentence."""

import itertools

import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraModel
from peft.tuners.lora.layer import Linear, LoraLayer
from peft.tuners.tuners_utils import BaseTuner
from safetensors.torch import load_file, save_file
from transformers import OPTForSequenceClassification
from transformers.cache_utils import DynamicLayer
from transformers.models.opt.modeling_opt import OPTDecoder

from pytest_ftcompare.checks import invariants, tiny_models
from pytest_ftcompare.checks.invariants import inspect, record_probe
from pytest_ftcompare.checks.slow_invariants import check_all
from pytest_ftcompare.methods.full import Full
from pytest_ftcompare.methods.lora import Lora
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training import prepared_seed
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.model_io import ModelInterface
from pytest_ftcompare.training.prepare import prepare

TASKS = {"head": "pocket_sst", "pattern": "pocket_sst", "answer": "pocket_instructions"}


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    return tmp_path_factory.mktemp("hub")


@pytest.fixture
def prepared(hub):
    def make(method, output_mode="head"):
        case = Case(
            "test",
            method,
            TASKS[output_mode],
            tiny_models.save("opt", hub),
            4,
            (("output_mode", output_mode),),
        )
        return prepare(case, TrainingConfig("pocket", max_length=128, hub=hub))

    return make


def expect_sentence(broken, sentence):
    assert any(one.startswith(sentence) for one in broken), broken


@pytest.mark.parametrize("output_mode", ["head", "pattern", "answer"])
def test_without_a_fault_nothing_is_broken(prepared, output_mode):
    assert check_all(prepared("lora", output_mode)) == []


@pytest.mark.parametrize("output_mode", ["head", "answer"])
@pytest.mark.parametrize("method", ["full", "lora", "prefix_tuning", "icl"])
def test_the_probe_alone_gives_the_record_of_the_inspection(prepared, method, output_mode):
    case = prepared(method, output_mode)
    record, broken = record_probe(case)
    assert record == inspect(case)[1]
    assert not broken


def test_dropout_in_evaluation_is_found(prepared, monkeypatch):
    real = torch.nn.functional.dropout
    monkeypatch.setattr(
        torch.nn.functional, "dropout", lambda x, p=0.5, training=True: real(x, p=p, training=True)
    )
    expect_sentence(inspect(prepared("full"))[2], "evaluated twice, the outputs must be the same")


@pytest.mark.parametrize("method", ["full", "lora"])
def test_an_ignored_mask_is_found(prepared, monkeypatch, method):
    real = OPTDecoder.forward

    def blind(self, *arguments, attention_mask=None, **named):
        mask = None if attention_mask is None else torch.ones_like(attention_mask)
        return real(self, *arguments, attention_mask=mask, **named)

    monkeypatch.setattr(OPTDecoder, "forward", blind)
    expect_sentence(
        inspect(prepared(method))[2], "alone, a row must get what it gets beside longer ones"
    )
    expect_sentence(
        check_all(prepared(method, "answer")),
        "beside a longer row it must write what it writes alone",
    )


def test_evaluation_that_moves_a_tensor_is_found(prepared, monkeypatch):
    real = Full.apply

    def drifting(self, model):
        def drift(module, arguments, output):
            if not torch.is_grad_enabled():
                next(module.parameters()).data.add_(1e-7)

        model.register_forward_hook(drift)
        return real(self, model)

    monkeypatch.setattr(Full, "apply", drifting)
    expect_sentence(
        inspect(prepared("full"))[2],
        "evaluation must leave the model as it was, model.decoder.embed_tokens.weight moved",
    )


def test_training_that_computes_something_else_than_evaluation_is_found(prepared, monkeypatch):
    real = OPTDecoder.forward

    def louder(self, *arguments, **named):
        output = real(self, *arguments, **named)
        if torch.is_grad_enabled():
            output.last_hidden_state = output.last_hidden_state * 1.01
        return output

    monkeypatch.setattr(OPTDecoder, "forward", louder)
    expect_sentence(
        inspect(prepared("full"))[2],
        "without dropout, training must compute the loss that evaluation's outputs give",
    )


def test_an_adapter_without_effect_is_found(prepared, monkeypatch):
    real = LoraLayer.update_layer

    def silent(self, adapter_name, *arguments, **named):
        real(self, adapter_name, *arguments, **named)
        self.scaling[adapter_name] = 0.0

    monkeypatch.setattr(LoraLayer, "update_layer", silent)
    expect_sentence(
        inspect(prepared("lora", "pattern"))[2],
        "after an update the outputs must not be the base model's",
    )


@pytest.mark.parametrize("method", ["full", "lora"])
def test_rounded_gradients_are_found(prepared, monkeypatch, method):
    def rounded(model, *arguments):
        losses = real(model, *arguments)
        for one in model.parameters():
            if one.grad is not None:
                one.grad = one.grad.bfloat16().float()
        return losses

    real = invariants.backward
    monkeypatch.setattr(invariants, "backward", rounded)
    (said,) = (one for one in inspect(prepared(method))[2] if one.startswith("the gradient of "))
    assert said.endswith(" must be of full precision, each number of it fits bfloat16")


def test_an_adapter_that_is_never_called_is_found(prepared, monkeypatch):
    monkeypatch.setattr(Linear, "forward", lambda self, x, *arguments, **named: self.base_layer(x))
    expect_sentence(
        inspect(prepared("lora", "pattern"))[2],
        "something must train, the loss does not depend on what is declared to",
    )


def test_a_checkpoint_with_a_tensor_of_the_base_model_is_found(prepared, monkeypatch):
    real = Lora.write

    def generous(self, model, folder):
        real(self, model, folder)
        file = str(folder / "adapter_model.safetensors")
        name = "base_model.model.model.decoder.embed_tokens.weight"
        save_file(
            load_file(file) | {name: dict(model.named_parameters())[name].detach().clone()}, file
        )

    monkeypatch.setattr(Lora, "write", generous)
    expect_sentence(
        inspect(prepared("lora"))[2],
        "only what trains must be saved, base_model.model.model.decoder.embed_tokens.weight",
    )


def test_a_loss_over_all_tokens_of_a_batch_is_found(prepared, monkeypatch):
    def pooled(interface, model, rows, counts):
        parts = [
            real(interface, model, [row], counts[[at]]) * counts[at] for at, row in enumerate(rows)
        ]
        return torch.stack(parts).sum() / counts.sum()

    real = prepared_seed.answer_loss
    monkeypatch.setattr(prepared_seed, "answer_loss", pooled)
    expect_sentence(
        check_all(prepared("full", "answer")),
        "the loss of a batch must be the mean of its rows' own, whatever the padding",
    )


def test_updates_that_do_not_repeat_are_found(prepared, monkeypatch):
    numbers = itertools.count()

    def restless(self, model, step, steps):
        model.score.weight.data.add_(1e-6 * next(numbers))

    monkeypatch.setattr(Full, "after_step", restless)
    expect_sentence(
        check_all(prepared("full")), "from the same state and seed the same updates must follow"
    )


def test_training_that_moves_a_frozen_tensor_is_found(prepared, monkeypatch):
    def greedy(self, model, step, steps):
        next(p for p in model.parameters() if not p.requires_grad).data.mul_(0.99)

    monkeypatch.setattr(Lora, "after_step", greedy)
    expect_sentence(
        check_all(prepared("lora")),
        "base_model.model.model.decoder.embed_tokens.weight is frozen, training moved it",
    )


def test_a_head_that_reads_the_last_position_is_found(prepared, monkeypatch):
    real = OPTForSequenceClassification.forward

    def last(self, input_ids, **named):
        return real(self, inputs_embeds=self.get_input_embeddings()(input_ids), **named)

    monkeypatch.setattr(OPTForSequenceClassification, "forward", last)
    expect_sentence(
        check_all(prepared("full")),
        "padded on the right, the outputs must be those of padding on the left",
    )


def test_a_cache_with_wrong_keys_is_found(prepared, monkeypatch):
    real = DynamicLayer.update

    def fading(self, key_states, *arguments, **named):
        keys, values = real(self, key_states, *arguments, **named)
        return (keys, values) if keys.shape == key_states.shape else (keys * 0.5, values)

    monkeypatch.setattr(DynamicLayer, "update", fading)
    expect_sentence(
        check_all(prepared("full", "answer")),
        "with kept keys and values it must write what it writes without",
    )


def test_scores_of_other_tokens_than_the_written_ones_are_found(prepared, monkeypatch):
    real = ModelInterface.logits
    monkeypatch.setattr(
        ModelInterface,
        "logits",
        lambda self, model, inputs: real(self, model, inputs).roll(1, dims=1),
    )
    expect_sentence(
        check_all(prepared("full", "answer")), "it must write the token that its scores name"
    )


def same_again(self, *arguments, **named):
    """A method of peft's that does nothing."""


def unmerged_in_name(self):
    self.merged_adapters.clear()


def loaded_untrained(self, folder, name):
    self.add_adapter(name, self.peft_config["default"])


def deleted_with_a_slip(self, name, real=PeftModel.delete_adapter):
    real(self, name)
    for module in self.modules():
        if isinstance(module, LoraLayer):
            module.scaling["default"] = 0.0


def set_once(self, name, real=PeftModel.set_adapter):
    if name != "default":
        real(self, name)


@pytest.mark.parametrize(
    ("owner", "name", "fault", "sentence"),
    [
        (
            BaseTuner,
            "disable_adapter_layers",
            same_again,
            "with its adapter disabled the outputs must be the base model's",
        ),
        (
            BaseTuner,
            "enable_adapter_layers",
            same_again,
            "with its adapter enabled again the outputs must be what they were",
        ),
        (
            LoraModel,
            "unload",
            lambda self: self.model,
            "unload must leave a plain model, its model.decoder.layers.0",
        ),
        (
            LoraModel,
            "unload",
            LoraModel.merge_and_unload,
            "unloaded, the outputs must be the base model's",
        ),
        (LoraModel, "unload", None, "unload must leave a plain model, it raised TypeError"),
        (
            Linear,
            "unmerge",
            unmerged_in_name,
            "after unmerge_adapter the outputs must be what they were",
        ),
        (
            PeftModel,
            "load_adapter",
            None,
            "its adapter must load beside itself under another name, that raised TypeError",
        ),
        (
            PeftModel,
            "load_adapter",
            loaded_untrained,
            "loaded under another name and active, the adapter must give the same",
        ),
        (
            PeftModel,
            "set_adapter",
            same_again,
            "the second adapter is active and different, the outputs are the first's",
        ),
        (
            PeftModel,
            "set_adapter",
            set_once,
            "active again, the first adapter must give what it gave",
        ),
        (
            PeftModel,
            "delete_adapter",
            None,
            "its second adapter must be there to delete, that raised TypeError",
        ),
        (
            PeftModel,
            "delete_adapter",
            deleted_with_a_slip,
            "with the second adapter deleted the first must give what it gave",
        ),
    ],
)
def test_a_fault_of_an_adapter_is_found(prepared, monkeypatch, owner, name, fault, sentence):
    monkeypatch.setattr(owner, name, fault)
    expect_sentence(check_all(prepared("lora", "pattern")), sentence)


def test_a_second_adapter_that_changes_the_base_model_is_found(prepared):
    expect_sentence(
        check_all(prepared("pissa", "pattern")),
        "a second adapter that is not active must not change the outputs",
    )
