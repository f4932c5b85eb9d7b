"""Test instruction tuning: the loss covers only the answer, and answers score by exact match."""

import pytest
import torch

from pytest_ftcompare.training.evaluate import evaluate
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.run_seed import run_seed
from pytest_ftcompare.training.train import train


def silent(*_):
    pass


@pytest.fixture
def ready(make):
    prepared = make("full", task="pocket_instructions", output_mode="answer")
    context = PreparedSeed(prepared, 0, 8)
    return prepared, context, context.stage(prepared.method.recipe)


def test_a_row_is_its_prompt_its_answer_and_the_end_of_text(ready):
    prepared, context, stage = ready
    tokenizer = prepared.interface.tokenizer
    for row, prompt, count, example in zip(
        stage.rows, context.rows, stage.targets.tolist(), context.support, strict=True
    ):
        assert row[:-count] == prompt
        assert row[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(row[-count:-1]).strip() == example.label.strip()
    assert {example.group[:2] for example in context.support} == {"en", "zh"}


def test_the_loss_is_the_mean_over_the_answers_tokens_alone(ready):
    prepared, _, stage = ready
    model = prepared.loaded().model.eval()
    losses = []
    for row, count in zip(stage.rows, stage.targets.tolist(), strict=True):
        logits = model(torch.tensor([row])).logits[0]
        losses.append(
            torch.nn.functional.cross_entropy(logits[-count - 1 : -1], torch.tensor(row[-count:]))
        )
    found = stage.loss(model, stage.rows, stage.targets)
    torch.testing.assert_close(found, torch.stack(losses).mean(), atol=1e-5, rtol=1e-5)


def test_the_model_writes_memorised_answers(ready):
    prepared, context, stage = ready
    model = prepared.adapted()
    torch.manual_seed(0)
    before = evaluate(model, prepared.interface, context.rows, context.support)
    for _ in range(8):
        train(model, prepared.method, stage, 0, silent)
    found = evaluate(model, prepared.interface, context.rows, context.support)
    assert found.loss < 0.05 < before.loss
    assert sum(found.correct) >= 7 > sum(before.correct)
    right = [
        text.strip() == example.label.strip()
        for text, example in zip(found.predictions, context.support, strict=True)
    ]
    assert found.correct == right


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_seed_of_instruction_tuning_gives_a_result_like_any_other(make, method):
    prepared = make(method, task="pocket_instructions", output_mode="answer", epochs=1)
    result = run_seed(prepared, 0, silent)
    groups = {
        f"accuracy{suffix}/{one.group}"
        for split, suffix in (("test", ""), ("ood", "_ood"))
        for one in prepared.examples[split]
    }
    assert (
        set(result.metrics)
        == {"accuracy", "accuracy_ood", "loss", "loss_ood", "macro", "macro_ood"} | groups
    )
    assert sum(result.class_counts["test"]) == len(prepared.examples["test"])
    assert run_seed(prepared, 0, silent).predictions_digest == result.predictions_digest


def test_the_out_of_domain_kinds_are_not_trained_on(make):
    examples = make("full", task="pocket_instructions", output_mode="answer").examples
    kinds = {split: {one.group for one in rows} for split, rows in examples.items()}
    assert kinds["ood"].isdisjoint(kinds["train"])
    assert kinds["test"] <= kinds["train"]


def test_lora_adapts_an_instruction_tuned_base(make, hub):
    """The base model here is the result of full fine-tuning."""
    base = make("full", task="pocket_instructions", output_mode="answer", epochs=6, lr=1e-3)
    model = base.adapted()
    torch.manual_seed(0)
    train(model, base.method, PreparedSeed(base, 0, 64).stage(base.method.recipe), 0, silent)
    folder = hub / "models" / "tiny" / "instructed"
    model.save_pretrained(folder)
    base.interface.tokenizer.save_pretrained(folder)
    losses = {}
    for name in ("pocket/opt-0.4m", "tiny/instructed"):
        prepared = make("lora", model=name, task="pocket_instructions", output_mode="answer")
        adapted = prepared.adapted()
        context = PreparedSeed(prepared, 1, 64)
        steps = train(adapted, prepared.method, context.stage(prepared.method.recipe), 0, silent)
        losses[name] = steps[0].loss
    assert losses["tiny/instructed"] < losses["pocket/opt-0.4m"] / 2
