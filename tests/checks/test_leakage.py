"""A teacher without a context and a row that shows its answer are refused before training."""

import pytest

from pytest_ftcompare import methods
from pytest_ftcompare.checks.leakage import check_leakage
from pytest_ftcompare.checks.tiny_models import save
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare


def case(method, task="pocket_sst", length=192, **options):
    options = tuple(sorted(options.items()))
    return prepare(
        Case("s", method, task, "pocket/opt-0.4m", 4, options),
        TrainingConfig("pocket", max_length=length),
    )


@pytest.mark.parametrize("method", methods.NAMES)
def test_every_method_passes(method):
    assert list(check_leakage(case(method))) == []


def test_an_encoder_which_has_no_teacher_passes(tmp_path):
    encoder = Case("s", "full", "pocket_sst", save("roberta", tmp_path), 4)
    assert (
        list(
            check_leakage(prepare(encoder, TrainingConfig("pocket", max_length=128, hub=tmp_path)))
        )
        == []
    )


@pytest.mark.parametrize("output_mode", ["pattern", "head"])
def test_a_teacher_without_a_context_is_refused(output_mode):
    (found,) = check_leakage(
        case("context_distillation", demonstrations=0, instruction=False, output_mode=output_mode)
    )
    assert found.startswith(
        "untold teacher: expected the teacher of context_distillation to read more than its "
        "student, it"
    )
    assert "the same in 8 of 8 rows" in found


@pytest.mark.parametrize(
    "told",
    [{"demonstrations": 1, "instruction": False}, {"demonstrations": 0, "instruction": True}],
)
def test_a_teacher_with_either_context_passes(told):
    assert list(check_leakage(case("context_distillation", **told))) == []


def test_a_context_beyond_the_models_length_does_not_count():
    (found,) = check_leakage(case("context_distillation", length=20, demonstrations=4))
    assert "give it an instruction or demonstrations that the model's length holds" in found


def test_a_row_that_shows_its_answer_is_refused(monkeypatch):
    def telling(self, task, example, support, fits):
        return f"{task.text_template.format(**example.fields)} {task.labels[example.label]}"

    monkeypatch.setattr(methods.load("full"), "render", telling)
    found = list(check_leakage(case("full")))
    assert [one.split(" of ")[-1].split(" reads")[0] for one in found] == [
        "split test",
        "split ood",
    ]
    assert found[0].startswith(
        "answer shown: expected full to render a row without its answer, row '"
    )


def test_a_row_that_shows_a_written_answer_is_refused(monkeypatch):
    assert list(check_leakage(case("full", task="pocket_instructions", output_mode="answer"))) == []
    monkeypatch.setattr(
        methods.load("full"),
        "render",
        lambda self, task, example, support, fits: str(example.label),
    )
    assert (
        len(list(check_leakage(case("full", task="pocket_instructions", output_mode="answer"))))
        == 2
    )
