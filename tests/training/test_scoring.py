"""Scoring: matching a reference, a task's own score, accuracy by group and label."""

import dataclasses

import pytest

from pytest_ftcompare import tasks
from pytest_ftcompare.tasks import Example
from pytest_ftcompare.training.model_kind import ModelError
from pytest_ftcompare.training.scoring import accuracy_metrics, score_answer

REQUESTS = tasks.load("pocket_requests")
REFERENCE = dataclasses.replace(REQUESTS, match="reference")


@pytest.mark.parametrize(
    ("written", "exact", "reference"),
    [
        (" 两位老师，三只狗。", 1, 1),
        ("两位老师,三只狗", 0, 1),
        ("两位老师，  三只狗 。", 0, 0),  # a space more than none is another text
        ("三只狗，两位老师。", 0, 0),
        ("", 0, 0),
    ],
)
def test_an_answer_matches_exactly_or_after_normalization(written, exact, reference):
    example = Example({"prompt": "p"}, "两位老师，三只狗。")
    assert (
        score_answer(REQUESTS, written, example),
        score_answer(REFERENCE, written, example),
    ) == (
        exact,
        reference,
    )


def test_case_and_width_do_not_matter_after_normalization():
    assert score_answer(REFERENCE, "The  ＤＯＧ.", Example({}, " the dog")) == 1
    assert score_answer(REQUESTS, "The dog", Example({}, " the dog")) == 0


def test_a_tasks_own_score_gets_the_answer_and_its_example():
    example = Example({"prompt": "p"}, "right", "group")
    judged = dataclasses.replace(
        REQUESTS, score=lambda text, one: 0.75 if (text, one) == ("said", example) else 0.0
    )
    assert score_answer(judged, "said", example) == 0.75


@pytest.mark.parametrize("given", [-0.1, 7, float("nan")])
def test_a_score_outside_0_to_1_is_refused(given):
    judged = dataclasses.replace(REQUESTS, score=lambda *_: given)
    with pytest.raises(
        ModelError,
        match="pocket_requests: expected its score to give a number from 0 to 1, it gave",
    ):
        score_answer(judged, "said", Example({}, "right"))


def test_macro_is_the_mean_over_groups_and_not_over_rows():
    examples = [Example({}, "a", group) for group in ("x", "x", "x", "y")]
    found = accuracy_metrics(REQUESTS, [True, True, False, False], examples)
    assert found == pytest.approx(
        {"accuracy": 0.5, "accuracy/x": 2 / 3, "accuracy/y": 0, "macro": 1 / 3}
    )


def test_a_task_with_classes_has_accuracy_by_label():
    hans = tasks.load("mnli")
    examples = [Example({}, label, "lexical_overlap") for label in (0, 0, 1, 1)]
    found = accuracy_metrics(hans, [True, True, True, False], examples)
    assert found == {
        "accuracy": 0.75,
        "accuracy/label=entailment": 1.0,
        "accuracy/label=contradiction": 0.5,
    }
