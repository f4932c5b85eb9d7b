"""One contract test over all methods, on the embedded models: each is the method that it says it is."""

import pytest
import torch

from pytest_ftcompare import methods
from pytest_ftcompare.case import Case
from pytest_ftcompare.experiment.evaluate import class_logits
from pytest_ftcompare.experiment.invariants import inspect
from pytest_ftcompare.experiment.prepare import labels, prepare
from pytest_ftcompare.experiment.run import run_seed
from pytest_ftcompare.experiment.setting import Setting
from pytest_ftcompare.experiment.train import train, trainable
from pytest_ftcompare.tasks import few_shot

SETTING = Setting("pocket", max_length=192)
MODEL = "pocket/opt-0.4m"
TRAINED = [name for name in methods.NAMES if methods.load(name).trains]


def make(method, task="pocket_sst", shots=4, **options):
    return prepare(Case("test", method, task, MODEL, shots, tuple(sorted(options.items()))), SETTING)


def quick(method, seed=0, **options):
    options = {"epochs": 2, **options} if methods.load(method).trains else options
    return run_seed(make(method, **options), seed, lambda *_: None)


@pytest.mark.parametrize("method", methods.NAMES)
def test_no_invariant_is_broken(method):
    _, _, broken = inspect(make(method))
    assert broken == []


@pytest.mark.parametrize("method", methods.NAMES)
def test_a_seed_repeats_to_the_last_bit_and_another_differs(method):
    first = quick(method)
    again = quick(method)
    assert (first.trace, first.metrics, first.correct) == (again.trace, again.metrics, again.correct)
    other = quick(method, seed=1)
    assert other.subset != first.subset
    assert other.correct != first.correct


@pytest.mark.parametrize("method", TRAINED)
def test_only_what_is_declared_to_train_changes_in_two_updates(method):
    prepared = make(method, epochs=2, batch=8)
    torch.manual_seed(0)
    model = prepared.method.apply(prepared.ask.load().model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    declared = set(trainable(model))
    support = few_shot(prepared.task, prepared.examples["train"], 4, 0)
    train(model, prepared.method, prepared.ask, prepared.encode(support, support), labels(support), 0, lambda *_: None)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    # A key's bias has no gradient (softmax does not see it), yet Adam moves it by rounding noise: both are right.
    assert changed <= declared
    assert {name for name in declared - changed if "k_proj.bias" not in name} == set()


@pytest.mark.parametrize("method", TRAINED)
def test_dropout_is_on_in_training_and_off_in_evaluation(method):
    prepared = make(method)
    model = prepared.method.apply(prepared.ask.load().model)
    support = few_shot(prepared.task, prepared.examples["train"], 4, 0)
    rows = prepared.encode(support, support)
    assert torch.equal(class_logits(model, prepared.ask, rows), class_logits(model, prepared.ask, rows))
    modes = []
    train(model, prepared.method, prepared.ask, rows, labels(support), 0, lambda *_: modes.append(model.training))
    assert modes and all(modes)
    with torch.no_grad():
        first, second = (prepared.ask.logits(model, prepared.ask.collate(rows)) for _ in range(2))
    assert not torch.equal(first, second)


def test_full_fine_tuning_trains_every_weight():
    model = make("full").ask.load().model
    assert set(trainable(model)) == set(dict(model.named_parameters()))


def test_lora_trains_the_closed_form_on_query_and_value_and_the_head():
    prepared = make("lora", r=4)
    model = prepared.method.apply(prepared.ask.load().model)
    config = model.base_model.model.config
    factors = config.num_hidden_layers * 2 * 4 * (config.hidden_size + config.hidden_size)
    head = config.num_labels * config.hidden_size
    assert sum(p.numel() for p in trainable(model).values()) == factors + head
    assert {name.split(".")[-4] for name in trainable(model) if "lora" in name} == {"q_proj", "v_proj"}


def test_lora_on_opt_125m_has_the_papers_count():
    """294,912 for rank 8 on query and value (Hu et al. 2021), from the architecture alone, without weights."""
    from transformers import OPTConfig, OPTForSequenceClassification

    with torch.device("meta"):
        model = OPTForSequenceClassification(OPTConfig(num_labels=2))
        lora = methods.load("lora")
        adapted = lora(lora.recipes["paper"]).apply(model)
    assert sum(p.numel() for name, p in trainable(adapted).items() if "lora_" in name) == 294_912


def test_pbft_reads_the_language_models_head_at_the_verbalizers():
    prepared = make("pbft")
    ask = prepared.ask
    assert ask.tokenizer.convert_ids_to_tokens(ask.verbalizers) == ["Ġbad", "Ġgood"]
    model = ask.load().model.eval()
    rows = prepared.encode(prepared.examples["test"][:5], [])
    with torch.no_grad():
        for row, scores in zip(rows, class_logits(model, ask, rows), strict=True):
            alone = model(torch.tensor([row])).logits[0, -1, ask.verbalizers]
            torch.testing.assert_close(scores, alone, atol=1e-4, rtol=1e-4)


def test_icl_shows_balanced_solved_examples_of_the_seeds_own_sample_and_never_the_question():
    prepared = make("icl", shots=8)
    support = few_shot(prepared.task, prepared.examples["train"], 8, 0)
    example = prepared.examples["test"][0]
    prompt = prepared.method.render(prepared.task, example, support, prepared.ask.fits)
    *shown, question = prompt.split("\n ")
    assert question == prepared.task.pattern.format(**example.fields)
    count = prepared.recipe["options"]["demonstrations"]
    assert sorted(one.rsplit(" ", 1)[1] for one in shown) == ["bad"] * count + ["good"] * count
    solved = {f"{prepared.task.pattern.format(**one.fields)}{prepared.task.verbalizers[one.label]}" for one in support}
    assert set(shown) <= solved


def test_icl_shows_fewer_examples_where_the_model_is_short():
    prepared = make("icl", task="pocket_mnli", shots=16, demonstrations=16)
    rows = prepared.encode(prepared.examples["test"][:20], few_shot(prepared.task, prepared.examples["train"], 16, 0))
    assert max(map(len, rows)) <= SETTING.max_length


def test_a_method_that_cannot_merge_says_so():
    prepared = make("full")
    with pytest.raises(NotImplementedError, match="Full cannot be merged"):
        prepared.method.merge(prepared.ask.load().model)


def test_an_unknown_method_lists_the_known_ones():
    with pytest.raises(LookupError, match="expected one of full, pbft, icl, lora"):
        methods.load("lorra")


def test_a_method_file_that_raises_names_itself(monkeypatch):
    monkeypatch.setattr(methods, "NAMES", ("missing",))
    with pytest.raises(methods.MethodError, match=r"methods/missing\.py could not be loaded: ModuleNotFoundError"):
        methods.load("missing")
