"""A method learns only from rows that its seed's context hands out, and from declared sources."""

from dataclasses import replace

import pytest

from pytest_ftcompare import methods
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.model_kind import ModelError
from pytest_ftcompare.training.prepare import labels, prepare
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.run_seed import run_seed


def case(method="full", **options):
    given = tuple(sorted(({"epochs": 1} | options).items()))
    return prepare(
        Case("s", method, "pocket_sst", "pocket/opt-0.4m", 4, given),
        TrainingConfig("pocket", max_length=192),
    )


def drawn_rows(prepared):
    few = {
        name: examples[:8] if name != "train" else examples
        for name, examples in prepared.examples.items()
    }
    return run_seed(replace(prepared, examples=few), 0, lambda *_: None).rows_drawn


@pytest.mark.parametrize("split", ["test", "ood"])
def test_a_method_cannot_select_on_a_test_split(split):
    context = PreparedSeed(case(), 0, 4)
    with pytest.raises(
        ModelError,
        match=f"expected a method to see training rows only, it asked for split '{split}'",
    ):
        context.prepared.examples[split]
    assert list(context.prepared.examples) == ["train"]
    with pytest.raises(ModelError, match="training rows only"):
        context.prepared.on_source("pocket_sst").examples[split]


def test_a_source_tasks_test_rows_are_not_available():
    context = PreparedSeed(case("adapter_fusion"), 0, 4).source_task("pocket_cola", 4)
    assert list(context.prepared.examples) == ["train"]


def test_the_rows_that_a_method_draws_are_recorded():
    assert drawn_rows(case()) == {"pocket_sst": 8}
    assert drawn_rows(case("adaptive", texts=16, passes=1)) == {
        "pocket_sst": 8,
        "pocket_sst, unlabelled": 16,
    }
    fused = drawn_rows(case("adapter_fusion", source_shots=2, source_epochs=1))
    assert fused == {"pocket_sst": 8, "pocket_cola": 4, "pocket_mnli": 4}


def test_a_method_that_trains_on_the_whole_corpus_is_refused(monkeypatch):
    def stages(self, model, context):
        pool, stage = context.prepared.examples["train"], context.stage(self.recipe)
        yield replace(
            stage,
            rows=context.prepared.encode(pool, pool),
            targets=stage.targets.new_tensor(labels(pool)),
        )

    monkeypatch.setattr(methods.load("full"), "stages", stages)
    with pytest.raises(
        ModelError,
        match=r"unequal budgets: expected full to train on the 8 rows .* a stage has \d\d\d",
    ):
        drawn_rows(case())


def test_a_task_that_is_not_a_declared_source_is_refused():
    with pytest.raises(
        ModelError,
        match=r"unequal budgets: expected full to draw from pocket_sst and .* \(none\), it asked",
    ):
        PreparedSeed(case(), 0, 4).source_task("pocket_cola", 4)
