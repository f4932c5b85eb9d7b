"""A short training runs all parts of a training: a change in any part changes its digest."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pytest_ftcompare.methods.base import MethodError
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training import evaluate
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.short_training import (
    EPOCHS,
    UPDATES,
    digest_of_short_training,
    shorten,
)
from pytest_ftcompare.training.train import Training


def prepared_case(method="full", shots=20, **options):
    """40 rows: two batches of 16 and one of 8."""
    case = Case("s", method, "pocket_sst", "pocket/opt-0.4m", shots, tuple(sorted(options.items())))
    return prepare(case, TrainingConfig("pocket", max_length=64, test_rows=70))


class RecordedProgress:
    """Records the numbers of the updates that a training reports."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []

    def __call__(self, number: int, steps: int, loss: float) -> None:
        self.steps.append((number, steps))


@pytest.mark.parametrize(
    ("rows", "batch", "epochs", "expected"),
    [(32, 16, 20, 5), (40, 16, 20, 4), (200, 16, 20, EPOCHS), (8, 16, 3, 3)],
)
def test_it_has_enough_updates_and_epochs_and_no_more_than_the_training_has(
    rows, batch, epochs, expected
):
    stage = PreparedSeed(prepared_case(), 0, 4).stage(prepared_case().method.recipe)
    recipe = replace(stage.recipe, epochs=epochs, batch_size=batch)
    short = shorten(replace(stage, recipe=recipe, rows=[[1]] * rows)).recipe
    assert short == replace(recipe, epochs=expected)
    assert epochs == expected or short.epochs * -(-rows // batch) >= UPDATES


def test_it_trains_to_its_own_end_and_repeats():
    progress = RecordedProgress()
    first = digest_of_short_training(prepared_case(), progress)
    assert progress.steps == [*((number, 12) for number in range(1, 13)), (0, 0)]
    assert first and digest_of_short_training(prepared_case(), progress) == first


def spoil_update(number, size):
    """Return an update that moves a weight too far if its number or its batch size matches."""
    real = Training.update

    def update(self, chosen):
        step = real(self, chosen)
        if self.number == number or len(chosen) == size:
            with torch.no_grad():
                self.parameters[-1][0].add_(1e-3)  # of one class: both would cancel out
        return step

    return update


def spoil_evaluation(monkeypatch):
    real = evaluate.class_logits

    def other(model, interface, rows):
        logits = real(model, interface, rows).clone()
        logits[-1, 0] += 1e-3
        return logits

    monkeypatch.setattr(evaluate, "class_logits", other)


@pytest.mark.parametrize(
    "what", ["last update", "short batch", "last test row", "warm-up", "second epoch"]
)
def test_a_change_in_any_part_changes_its_digest(what, monkeypatch):
    prepared = prepared_case()
    before = digest_of_short_training(prepared, RecordedProgress())
    if what == "last test row":
        spoil_evaluation(monkeypatch)
    else:
        number, size = {
            "last update": (12, 0),
            "short batch": (0, 8),
            "warm-up": (1, 0),
            "second epoch": (4, 0),
        }[what]
        monkeypatch.setattr(Training, "update", spoil_update(number, size))
    assert digest_of_short_training(prepared, RecordedProgress()) != before


def test_every_stage_is_shortened():
    progress = RecordedProgress()
    assert digest_of_short_training(prepared_case("adaptive", texts=64, passes=3), progress)
    assert {steps for _, steps in progress.steps} == {
        12,
        0,
    }  # 64 texts in 4 batches, 3 passes; 40 rows in 3, 4 epochs


def test_a_method_that_does_not_train_has_no_short_training():
    assert digest_of_short_training(prepared_case("icl"), RecordedProgress()) == ""


def test_a_training_that_is_already_short_has_no_short_training():
    assert digest_of_short_training(prepared_case(epochs=2), RecordedProgress()) == ""


def test_a_method_that_refuses_few_steps_has_no_short_training(monkeypatch):
    prepared = prepared_case()

    def refuse(model, step, steps):
        raise MethodError("expected more steps")

    monkeypatch.setattr(prepared.method, "after_step", refuse)
    assert digest_of_short_training(prepared, RecordedProgress()) == ""
