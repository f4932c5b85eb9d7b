"""Test what models read: patterns, demonstrations, contexts and the teacher's targets."""

import pytest
import torch

from pytest_ftcompare.tasks import few_shot
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.language_modeling import text_loss
from pytest_ftcompare.training.prepared_seed import PreparedSeed


def test_pbft_reads_the_language_models_head_at_the_verbalizers(make):
    prepared = make("pbft")
    interface = prepared.interface
    assert interface.tokenizer.convert_ids_to_tokens(interface.verbalizers) == ["Ġbad", "Ġgood"]
    model = interface.load().model.eval()
    rows = prepared.encode(prepared.examples["test"][:5], [])
    with torch.no_grad():
        for row, scores in zip(rows, class_logits(model, interface, rows), strict=True):
            alone = model(torch.tensor([row])).logits[0, -1, interface.verbalizers]
            torch.testing.assert_close(scores, alone, atol=1e-4, rtol=1e-4)


def test_icl_shows_balanced_training_examples_and_never_the_question_as_one(make):
    prepared = make("icl", shots=8)
    support = few_shot(prepared.task, prepared.examples["train"], 8, 0)
    example = prepared.examples["test"][0]
    prompt = prepared.method.render(prepared.task, example, support, prepared.interface.fits)
    *shown, question = prompt.split("\n ")
    assert question == prepared.task.pattern.format(**example.fields)
    count = prepared.recipe["options"]["demonstrations"]
    assert sorted(one.rsplit(" ", 1)[1] for one in shown) == ["bad"] * count + ["good"] * count
    solved = {
        f"{prepared.task.pattern.format(**one.fields)}{prepared.task.verbalizers[one.label]}"
        for one in support
    }
    assert set(shown) <= solved


def test_icl_shows_fewer_examples_if_the_model_is_short(make):
    prepared = make("icl", task="pocket_mnli", shots=16, demonstrations=16)
    rows = prepared.encode(
        prepared.examples["test"][:20], few_shot(prepared.task, prepared.examples["train"], 16, 0)
    )
    assert max(map(len, rows)) <= 192


@pytest.mark.parametrize(("demonstrations", "instruction"), [(2, False), (0, True), (2, True)])
def test_the_teacher_sees_the_context_and_the_student_does_not(make, demonstrations, instruction):
    prepared = make("context_distillation", demonstrations=demonstrations, instruction=instruction)
    context = PreparedSeed(prepared, 0, 4)
    for example, row in zip(context.support, context.rows, strict=True):
        prompt = prepared.method.teacher_prompt(context, example)
        question = prepared.task.pattern.format(**example.fields)
        assert prompt.endswith(question) and prompt != question
        assert prompt.startswith(prepared.task.instruction) == instruction
        assert prompt.count(prepared.task.pattern.split("}")[-1]) == 1 + 2 * demonstrations
        # Neither prompt has the row's own answer.
        assert f"{question}{prepared.task.verbalizers[example.label]}" not in prompt
        assert prepared.interface.encode([question])[0] == row


def test_the_teachers_targets_sum_to_one_and_are_its_own_probabilities(make):
    prepared = make("context_distillation")
    context = PreparedSeed(prepared, 0, 4)
    targets = prepared.method.targets(context)
    torch.testing.assert_close(targets.sum(1), torch.ones(len(context.rows)))
    interface, prompts = (
        prepared.interface,
        [prepared.method.teacher_prompt(context, example) for example in context.support],
    )
    scores = class_logits(interface.load().model, interface, interface.encode(prompts))
    torch.testing.assert_close(targets, scores.softmax(1))
    plain = class_logits(interface.load().model, interface, context.rows).softmax(1)
    assert (targets - plain).abs().max() > 1e-4, "the context must tell the teacher something"


def test_distillation_is_the_divergence_from_the_teacher_to_the_student(make):
    method = make("context_distillation").method
    teacher = torch.tensor([[0.9, 0.1], [0.3, 0.7]])
    student = torch.tensor([[0.2, -1.0], [0.5, 0.4]])
    expected = (teacher * (teacher.log() - student.log_softmax(1))).sum(1).mean()
    torch.testing.assert_close(method.loss(student, teacher), expected)
    assert method.loss(teacher.log(), teacher).abs() < 1e-7


def test_the_language_model_trains_the_classifiers_base_weights(make):
    prepared = make("adaptive", texts=16, passes=2)
    context = PreparedSeed(prepared, 0, 4)
    torch.manual_seed(0)
    model = prepared.adapted()
    first, second = prepared.method.stages(model, context)
    assert (len(first.rows), first.recipe.lr, first.recipe.epochs) == (
        16,
        prepared.method.option("text_lr"),
        2,
    )
    before = first.loss(model, first.rows, first.targets)
    before.backward()
    received = {name for name, p in model.named_parameters() if p.grad is not None}
    assert received == set(dict(model.named_parameters())) - {"score.weight"}
    assert second.recipe == prepared.method.recipe


def test_the_text_loss_is_the_mean_over_each_rows_next_tokens(make):
    prepared = make("adaptive", output_mode="pattern")
    interface, model = prepared.interface, prepared.loaded().model.eval()
    rows = interface.encode(
        ["every goat sleeps .", "the old bakers near the pilot thank each goat ."]
    )
    losses = []
    for row in rows:
        logits = model(torch.tensor([row])).logits[0, :-1]
        losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor(row[1:])))
    torch.testing.assert_close(
        text_loss(interface, model, rows), torch.stack(losses).mean(), atol=1e-5, rtol=1e-5
    )
