"""The counted update of a case: equal each time, and it finds bytes that a method leaves behind."""

import copy
from types import SimpleNamespace

import pytest

from pytest_ftcompare.measure import counted_update as execution_module
from pytest_ftcompare.measure.counted_update import count_update
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare

LEFT = []


@pytest.fixture
def make():
    return lambda method: prepare(
        Case("t", method, "pocket_sst", "pocket/opt-0.4m", 4),
        TrainingConfig("pocket", max_length=192),
    )


@pytest.mark.parametrize("method", ["full", "lora", "icl", "adalora", "qlora"])
def test_counts_are_the_same_each_time_and_nothing_strays(make, method):
    first = count_update(make(method))
    assert count_update(make(method)) == first
    assert first["stray bytes"] == 0
    assert (first["state bytes"] > 0) == (method != "icl")


def test_a_second_copy_of_the_weights_kept_alive_somewhere_strays(make, monkeypatch):
    prepared = make("lora")
    apply = type(prepared.method).apply

    def leaking(self, model):
        LEFT.append(copy.deepcopy(model))
        return apply(self, model)

    size = sum(one.numel() * 4 for one in prepared.loaded().model.parameters())
    monkeypatch.setattr(type(prepared.method), "apply", leaking)
    assert count_update(prepared)["stray bytes"] >= size
    LEFT.clear()


@pytest.mark.parametrize(
    ("classes", "rows", "written", "shots"),
    [
        (2, 20, False, 8),
        (2, 5, False, 5),
        (8, 20, False, 8),
        (20, 20, False, 3),
        (150, 4, False, 1),
        (0, 5, True, 5),
    ],
)
def test_the_counted_batch_takes_no_more_rows_than_a_class_has(classes, rows, written, shots):
    examples = [
        SimpleNamespace(label=label) for label in range(max(1, classes)) for _ in range(rows)
    ]
    task = SimpleNamespace(labels=range(classes), generative=written, token_labels=False)
    assert (
        execution_module.batch_shots(SimpleNamespace(task=task, examples={"train": examples}))
        == shots
    )
