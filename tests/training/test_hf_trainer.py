"""The option `engine`, and the differences that the engines' comparison finds in broken engines."""

import math
from dataclasses import replace

import pytest
import torch
import transformers
from transformers import Trainer

from pytest_ftcompare.checks import tiny_models, trainer_loss
from pytest_ftcompare.checks.engine_parity import (
    RELU_TOLERANCE,
    _gradient_difference,
    differences,
    record_trainings,
)
from pytest_ftcompare.methods.base import Method
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training import hf_trainer
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.library_logging import quiet
from pytest_ftcompare.training.model_kind import ModelError
from pytest_ftcompare.training.prepare import prepare
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.run_seed import run_seed
from pytest_ftcompare.training.train import TrainingError, train


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    quiet()
    return tmp_path_factory.mktemp("hub")


@pytest.fixture
def prepared(hub):
    def make(method="full", output_mode="head", shots=5, **options):
        given = {
            "output_mode": output_mode,
            "batch_size": 8,
            "micro_batches": 2,
            "epochs": 2,
        } | options
        case = Case(
            "test",
            method,
            tiny_models.TASKS[output_mode],
            tiny_models.save("opt", hub),
            shots,
            tuple(sorted(given.items())),
        )
        return prepare(case, TrainingConfig("pocket", max_length=128, hub=hub, test_rows=4))

    return make


@pytest.fixture
def first_difference(prepared):
    """Return the number of the first update that differs, and the difference."""

    def compare(**options):
        sentence = next(differences(prepared(**options)))
        head, what = sentence.split(" must be the same by both engines: ")
        return int(head.split()[1]), what

    return compare


def test_the_engine_is_an_option_of_the_case_and_not_of_its_recipe(prepared):
    loop, trainer = prepared(), prepared(engine="trainer")
    assert (loop.case.engine, trainer.case.engine) == ("loop", "trainer")
    assert "-engine=trainer-epochs=2-" in trainer.case.id
    assert trainer.recipe == loop.recipe
    assert trainer.fingerprint() != loop.fingerprint()


def test_an_unknown_engine_is_refused(prepared):
    with pytest.raises(
        ModelError,
        match=r"engine=fast.*: expected the option engine to be loop or trainer, got 'fast'",
    ):
        prepared(engine="fast")


def test_both_engines_train_on_the_same_rows(prepared):
    reports = []
    loop, trainer = (
        run_seed(
            prepared(epochs=2, micro_batches=1, **one), 0, lambda *report: reports.append(report)
        )
        for one in ({}, {"engine": "trainer"})
    )
    assert (trainer.training_rows, trainer.rows_drawn) == (loop.training_rows, loop.rows_drawn)
    for ours, theirs in zip(loop.trace.first_steps, trainer.trace.first_steps, strict=True):
        assert theirs == pytest.approx(ours, rel=1e-4)
    steps = [(step, count) for step, count, _ in reports]
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4), (0, 0)] * 2


def test_without_a_fault_the_engines_agree(prepared):
    assert list(differences(prepared())) == []


def test_micro_batches_of_unequal_size_are_refused(prepared):
    with pytest.raises(
        TrainingError, match=r"got 8 rows in 3: choose micro_batches to divide batch_size"
    ):
        record_trainings(prepared(micro_batches=3), hf_trainer.train)


def test_a_loss_that_is_not_a_number_stops_the_trainer(prepared, monkeypatch):
    monkeypatch.setattr(
        Trainer, "compute_loss", lambda *_, **__: torch.tensor(math.nan, requires_grad=True)
    )
    with pytest.raises(
        TrainingError,
        match=r"expected a finite loss and gradient norm, got nan and .* at step 1 of 4",
    ):
        record_trainings(prepared(), hf_trainer.train)


def test_extra_parameters_of_a_stage_train_and_leave_the_model_as_it_was(prepared):
    case = prepared()
    model = case.adapted()
    names = {name for name, _ in model.named_parameters()}
    factor = torch.nn.Parameter(torch.ones(()))
    stage = PreparedSeed(case, 0, 5).stage(case.method.recipe)
    loss = stage.loss
    stage = replace(stage, loss=lambda *given: loss(*given) * factor, extra_parameters=(factor,))
    hf_trainer.train(model, case.method, stage, 0, lambda *_: None)
    assert factor.item() < 1
    assert {name for name, _ in model.named_parameters()} == names


def test_the_methods_hook_runs_before_the_first_step_and_after_each(prepared):
    class Noted(Method):
        name, recipes = "noted", {}

        def after_step(self, model, step, steps):
            gradients = [one.grad is not None for one in model.parameters()]
            noted.append((step, steps, any(gradients)))

    noted = []
    case = prepared()
    model, stage = case.adapted(), PreparedSeed(case, 0, 5).stage(case.method.recipe)
    for engine in (train, hf_trainer.train):
        engine(model, Noted(case.method.recipe), stage, 0, lambda *_: None)
    assert noted == [(0, 4, False), (1, 4, True), (2, 4, True), (3, 4, True), (4, 4, True)] * 2


def test_unscaled_accumulation_is_found(first_difference, monkeypatch):
    compute = hf_trainer.StageTrainer.compute_loss

    def unscaled(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        return compute(self, model, inputs, num_items_in_batch=len(inputs["numbers"]))

    monkeypatch.setattr(hf_trainer.StageTrainer, "compute_loss", unscaled)
    number, what = first_difference()
    loop, trainer = (float(what.split()[at]) for at in (1, 5))
    assert number == 1 and what.startswith("loss ") and trainer == pytest.approx(2 * loop, rel=1e-4)


def test_micro_batches_of_equal_weight_are_found(first_difference, monkeypatch):
    compute = hf_trainer.StageTrainer.compute_loss

    def alike(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        count = len(inputs["numbers"]) * self.current_gradient_accumulation_steps
        return compute(self, model, inputs, num_items_in_batch=count)

    monkeypatch.setattr(hf_trainer.StageTrainer, "compute_loss", alike)
    number, what = first_difference(
        shots=7
    )  # 14 rows: the second update has micro-batches of four and two
    assert number == 2 and what.startswith("loss ")


def test_another_loss_of_the_library_is_found(first_difference, monkeypatch):
    forward = transformers.OPTForSequenceClassification.forward

    def smoothed(self, *arguments, **named):
        found = forward(self, *arguments, **named)
        if found.loss is not None:
            found.loss = found.loss * 1.001
        return found

    monkeypatch.setattr(transformers.OPTForSequenceClassification, "forward", smoothed)
    assert first_difference()[0] == 1


def test_another_order_of_rows_is_found(first_difference, monkeypatch):
    monkeypatch.setattr(hf_trainer.RowSampler, "__iter__", lambda self: iter(range(self.count)))
    assert first_difference()[0] == 1


def test_a_missing_clipping_is_found(first_difference, monkeypatch):
    clip = Trainer._clip_grad_norm

    def norm_only(self, model):
        before = [one.grad.clone() for one in model.parameters() if one.grad is not None]
        norm = clip(self, model)
        for one, grad in zip(
            (one for one in model.parameters() if one.grad is not None), before, strict=True
        ):
            one.grad = grad
        return norm

    monkeypatch.setattr(Trainer, "_clip_grad_norm", norm_only)
    number, what = first_difference(max_grad_norm=0.01)
    assert number == 1 and what.startswith("the gradient of ")


def test_a_constant_schedule_is_found(first_difference, monkeypatch):
    monkeypatch.setattr(hf_trainer.StageTrainer, "create_scheduler", constant)
    number, what = first_difference(warmup_share=0.5)  # the first update has a rate of zero
    assert number == 1 and "learning rates" in what


def constant(self, num_training_steps, optimizer=None):
    self.lr_scheduler = transformers.get_constant_schedule(self.optimizer)
    return self.lr_scheduler


def test_another_beta_of_the_optimiser_is_found(first_difference, monkeypatch):
    chosen = Trainer.get_optimizer_cls_and_kwargs

    def other(args, model=None):
        kind, options = chosen(args, model)
        return kind, options | {"betas": (0.9, 0.9)}

    monkeypatch.setattr(Trainer, "get_optimizer_cls_and_kwargs", staticmethod(other))
    number, what = first_difference(warmup_share=0.0)
    assert number == 2 and "learning rates" in what


def test_a_missing_update_is_found(prepared, monkeypatch):
    monkeypatch.setattr(hf_trainer.RowSampler, "__len__", lambda self: self.count - 4)
    with pytest.raises(TrainingError, match=r"expected 4 updates of engine=trainer .*, it made 2"):
        next(differences(prepared()))


def test_dropout_in_only_one_engine_is_found(prepared, monkeypatch):
    monkeypatch.setattr(
        hf_trainer.StageTrainer,
        "compute_loss",
        without_dropout(hf_trainer.StageTrainer.compute_loss),
    )
    assert next(differences(prepared(shots=4, batch_size=4), dropout=True)).startswith(
        "update 1 of 4 "
    )


def without_dropout(compute):
    def without(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        return compute(self, model.eval(), inputs, num_items_in_batch=num_items_in_batch)

    return without


def test_a_mean_of_means_instead_of_the_mean_over_tokens_is_found(prepared, monkeypatch):
    case = prepared(output_mode="answer", shots=11, lr=0.0)
    assert list(trainer_loss.check_trainer_loss(case)) == []
    monkeypatch.setattr(Trainer, "_get_num_items_in_batch", lambda *_: None)
    assert next(trainer_loss.check_trainer_loss(case)).startswith(
        "the Trainer's loss must be that of the update's 8 rows in one batch, "
    )


def test_rounding_at_relus_corner_is_tolerated_in_one_row_only():
    difference = torch.zeros(4, 3)
    difference[1, 0] = RELU_TOLERANCE / 2
    assert _gradient_difference(difference, 1.0) == 0.0
    difference[2, 0] = RELU_TOLERANCE / 2
    assert _gradient_difference(difference, 1.0) == pytest.approx(RELU_TOLERANCE / 2)
    difference[2, 0] = 2 * RELU_TOLERANCE
    assert _gradient_difference(difference, 1.0) > 2 * RELU_TOLERANCE
    assert _gradient_difference(torch.tensor(RELU_TOLERANCE / 2), 1.0) == pytest.approx(
        RELU_TOLERANCE / 2
    )


def test_a_trainer_that_stops_short_is_refused(prepared, monkeypatch):
    """transformers#33455: with accumulation, an epoch's last update was not counted."""
    real = Trainer.set_initial_training_values

    def rounded_down(self, *arguments, **named):
        *values, steps = real(self, *arguments, **named)
        return *values, steps - 1

    monkeypatch.setattr(Trainer, "set_initial_training_values", rounded_down)
    with pytest.raises(TrainingError, match=r"expected 4 updates of engine=trainer .*, it made 3"):
        run_seed(prepared(engine="trainer"), 0, lambda *_: None)
