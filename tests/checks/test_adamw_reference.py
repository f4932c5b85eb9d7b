"""The loop's updates are AdamW's; faults of optimiser and schedule are found at their update."""

import math
import re

import pytest
import torch
from transformers import optimization

from pytest_ftcompare.checks.adamw_reference import (
    MIN_SAMPLE,
    STEPS,
    WARMUP_STEPS,
    WEIGHT_DECAY,
    AdamWReference,
    _sample_elements,
)
from pytest_ftcompare.checks.invariants import inspect
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training import train
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare


@pytest.fixture
def broken():
    def found(method="lora"):
        case = Case("test", method, "pocket_sst", "pocket/opt-0.4m", 4)
        return inspect(prepare(case, TrainingConfig("pocket", max_length=192)))[2]

    return found


@pytest.fixture
def first_wrong_update(broken):
    """Return the number of the first update that is not AdamW's."""

    def number():
        (sentence,) = broken()
        return int(re.match(r"update (\d) of 12 must be AdamW's", sentence)[1])

    return number


@pytest.mark.parametrize("method", ["full", "lora", "adalora", "icl"])
def test_without_a_fault_nothing_is_broken(broken, method):
    assert broken(method) == []


def test_the_reference_is_torchs_adamw():
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(5, generator=generator, dtype=torch.float64))
    optimizer = torch.optim.AdamW([weight], lr=0.01, weight_decay=WEIGHT_DECAY)
    schedule = optimization.get_linear_schedule_with_warmup(optimizer, WARMUP_STEPS, STEPS)
    reference, expected = AdamWReference(0.01, max_grad_norm=1.0), {"w": weight.detach().clone()}
    for number in range(STEPS):
        gradient = torch.randn(5, generator=generator, dtype=torch.float64) * 3
        weight.grad = gradient.clone()
        torch.nn.utils.clip_grad_norm_([weight], 1.0)
        optimizer.step()
        schedule.step()
        expected = reference.step(number, expected, gradient.norm().item(), {"w": gradient})
        assert torch.allclose(weight.detach(), expected["w"], rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    "shape",
    [
        (),
        (3,),
        (64, 64),
        (2048, 160),
        (30522, 384),
        (30522, 768),
        (160, 640),
        (5, 4096),
        (1, 10**6),
    ],
)
def test_the_sample_of_a_large_tensor_has_elements_of_every_column(shape):
    count, columns = math.prod(shape), shape[-1] if shape else 1
    places = _sample_elements(
        torch.arange(count, dtype=torch.float64).reshape(shape)
    ).long()  # their own numbers
    assert min(MIN_SAMPLE, count) <= len(places) <= max(MIN_SAMPLE, 4 * MIN_SAMPLE)
    assert len((places % columns).unique()) == min(columns, len(places))
    assert places[-1] > count - 1 - columns - count / len(places)  # to the end


def test_a_lost_state_is_found(first_wrong_update, monkeypatch):
    step = torch.optim.AdamW.step

    def forgetful(self, *arguments):
        done = step(self, *arguments)
        self.state.clear()
        return done

    monkeypatch.setattr(torch.optim.AdamW, "step", forgetful)
    assert first_wrong_update() == 2


def test_gradients_that_are_not_cleared_are_found(first_wrong_update, monkeypatch):
    monkeypatch.setattr(torch.optim.Optimizer, "zero_grad", lambda *_, **__: None)
    assert first_wrong_update() == 2


def test_a_missing_clipping_is_found(first_wrong_update, monkeypatch):
    def norm_only(parameters, limit):
        return torch.nn.utils.get_total_norm(
            [one.grad for one in parameters if one.grad is not None]
        )

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", norm_only)
    assert first_wrong_update() <= 3


def test_a_constant_schedule_is_found(first_wrong_update, monkeypatch):
    monkeypatch.setattr(
        train,
        "get_linear_schedule_with_warmup",
        lambda *_: torch.optim.lr_scheduler.LRScheduler.__new__(Still),
    )
    assert first_wrong_update() == 1


class Still:
    def step(self):
        pass


def test_a_schedule_stepped_twice_is_found(first_wrong_update, monkeypatch):
    step = torch.optim.lr_scheduler.LambdaLR.step
    monkeypatch.setattr(
        torch.optim.lr_scheduler.LambdaLR, "step", lambda self: (step(self), step(self))
    )
    assert first_wrong_update() <= 2


def test_a_missing_weight_decay_is_found(first_wrong_update, monkeypatch):
    made = train.make_optimizer

    def without_decay(*arguments):
        optimizer = made(*arguments)
        for group in optimizer.param_groups:
            group["weight_decay"] = 0.0
        return optimizer

    monkeypatch.setattr(train, "make_optimizer", without_decay)
    assert first_wrong_update() <= 3


def test_another_beta_of_the_second_moment_is_found(first_wrong_update, monkeypatch):
    made = train.make_optimizer

    def other(*arguments):
        optimizer = made(*arguments)
        for group in optimizer.param_groups:
            group["betas"] = (0.9, 0.9)
        return optimizer

    monkeypatch.setattr(train, "make_optimizer", other)
    assert first_wrong_update() <= 4


def test_an_update_to_nan_stops_the_training(broken, monkeypatch):
    step = torch.optim.AdamW.step

    def spoilt(self, *arguments):
        done = step(self, *arguments)
        for group in self.param_groups:
            for one in group["params"]:
                one.data.fill_(math.nan)
        return done

    monkeypatch.setattr(torch.optim.AdamW, "step", spoilt)
    with pytest.raises(train.TrainingError, match="expected a finite loss"):
        broken()
