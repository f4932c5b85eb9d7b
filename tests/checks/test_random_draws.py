"""Random draws are measured: size, strength, order. Another stream measures the same."""

import pytest
import torch
from peft.tuners.lora import LoraLayer

from pytest_ftcompare.checks import random_draws
from pytest_ftcompare.checks.invariants import inspect
from pytest_ftcompare.checks.random_draws import training_rows_by_seed
from pytest_ftcompare.compare import divergence
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.result import Result
from pytest_ftcompare.training import train
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare


@pytest.fixture
def prepared():
    def make(method="lora"):
        case = Case("test", method, "pocket_sst", "pocket/opt-0.4m", 4)
        return prepare(case, TrainingConfig("pocket", max_length=192))

    return make


def result(prepared):
    signature, probe, broken = inspect(prepared)
    return Result("id", "suite", {}, "f", {}, {}, signature, probe, {}, broken_invariants=broken)


def levels(base, new):
    return {
        one.level
        for one in (
            *divergence.compare_structures(base, new),
            *divergence.compare_random_draws(base, new),
        )
    }


def test_another_stream_of_random_numbers_gives_the_same_measurements(prepared, monkeypatch):
    base = result(prepared())
    seed, draw = torch.manual_seed, random_draws._seed_device
    monkeypatch.setattr(torch, "manual_seed", lambda number: seed(number + 7))
    monkeypatch.setattr(
        random_draws, "_seed_device", lambda number, device: draw(number + 7, device)
    )
    assert levels(base, result(prepared())) == set()


def test_an_initialisation_ten_times_smaller_is_found(prepared, monkeypatch):
    base, reset = result(prepared()), LoraLayer.reset_lora_parameters

    def faint(self, name, *arguments):
        reset(self, name, *arguments)
        self.lora_A[name].weight.data.mul_(0.1)

    monkeypatch.setattr(LoraLayer, "reset_lora_parameters", faint)
    assert levels(base, result(prepared())) == {"initialisation"}


@pytest.mark.parametrize("strength", [0, 5])
def test_another_dropout_rate_is_found(prepared, monkeypatch, strength):
    base, real = result(prepared("full")), torch.nn.functional.dropout

    def other(input, p=0.5, training=True, inplace=False):
        return real(input, strength * p, training, inplace)

    monkeypatch.setattr(torch.nn.functional, "dropout", other)
    assert levels(base, result(prepared("full"))) == {"dropout"}


def test_an_adapter_without_its_dropout_is_found(prepared, monkeypatch):
    base, update = result(prepared()), LoraLayer.update_layer

    def plain(self, name, *arguments, **named):
        update(self, name, *arguments, **named)
        self.lora_dropout[name] = torch.nn.Identity()

    monkeypatch.setattr(LoraLayer, "update_layer", plain)
    assert "signature" in levels(base, result(prepared()))


def test_each_seed_draws_its_own_rows(prepared):
    found = training_rows_by_seed(prepared(), 6)
    assert len(set(found.values())) == 6
    assert found == training_rows_by_seed(prepared("full"), 6)


ORDERS = train.batch_orders


def in_order(count, recipe, seed):
    for _ in range(recipe.epochs):
        yield from (
            list(range(at, min(at + recipe.batch_size, count)))
            for at in range(0, count, recipe.batch_size)
        )


def once(count, recipe, seed):
    updates = list(ORDERS(count, recipe, seed))
    return iter(updates[: len(updates) // recipe.epochs] * recipe.epochs)


def halved(count, recipe, seed):
    return ([row - row % 2 for row in update] for update in ORDERS(count, recipe, seed))


def fixed(count, recipe, seed):
    return ORDERS(count, recipe, 0)


def unrepeatable(count, recipe, seed):
    return ORDERS(count, recipe, int(torch.randint(1000, ())))


@pytest.mark.parametrize(
    ("orders", "said"),
    [
        (in_order, "each epoch must have an order of its own"),
        (once, "each epoch must have an order of its own"),
        (halved, "each of 3 epochs must have each of 21 rows once"),
        (fixed, "each seed must have an order of its own"),
        (unrepeatable, "a seed's order of rows must repeat"),
    ],
)
def test_a_wrong_order_of_rows_is_found(prepared, monkeypatch, orders, said):
    monkeypatch.setattr(train, "batch_orders", orders)
    assert any(one.startswith(said) for one in inspect(prepared())[2])
