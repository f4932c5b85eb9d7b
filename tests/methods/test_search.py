"""Test the recorded search of hyper-parameters, and that recipes use its results."""

import json
from pathlib import Path

import pytest

from pytest_ftcompare import methods
from scripts import search

RECORD = json.loads((Path(__file__).parents[2] / "docs" / "search.json").read_text())
TRAINED = [name for name in methods.NAMES if methods.load(name).trains]


def value(recipe, name):
    return getattr(recipe, name) if hasattr(recipe, name) else recipe.options[name]


@pytest.mark.parametrize("method", TRAINED)
def test_a_pocket_recipe_is_the_best_setting_of_the_recorded_search(method):
    recipe = methods.load(method).recipes["pocket"]
    for name, best in search.best(RECORD[method]).items():
        assert value(recipe, name) == best, name


@pytest.mark.parametrize("method", TRAINED)
def test_every_setting_of_the_grid_was_tried_on_both_tasks(method):
    tried = [result["setting"] for result in RECORD[method]]
    assert all(dict(setting) in tried for setting in search.settings(method))
    for one in RECORD[method]:
        assert set(one["accuracy"]) == set(search.TASKS)
        assert {len(scores) for scores in one["accuracy"].values()} == {len(search.SEEDS)}


def test_the_search_never_looks_at_a_test_split_or_a_baselines_seed(monkeypatch):
    from pytest_ftcompare.gate.profiles import PROFILES
    from pytest_ftcompare.training import run_seed

    assert min(search.SEEDS) >= PROFILES["pocket"].seeds
    seen = {}

    def look(prepared, seed, progress):
        seen.update(prepared.examples)
        raise SystemExit

    monkeypatch.setattr(run_seed, "run_seed", look)
    with pytest.raises(SystemExit):
        search.score("full", "pocket_cola", 100, ())
    held_out = {tuple(one.fields.values()) for one in seen["test"]}
    assert len(held_out) == search.VALIDATION
    assert held_out.isdisjoint({tuple(one.fields.values()) for one in seen["train"]})
    from pytest_ftcompare.tasks.hub import EMBEDDED, read_split

    for split in ("test", "ood"):
        rows = {
            row["sentence"] for row in read_split(EMBEDDED / "datasets" / "pocket" / "cola", split)
        }
        assert rows.isdisjoint({sentence for (sentence,) in held_out})


def test_the_first_of_equal_settings_is_chosen():
    results = [{"setting": {"lr": lr}, "mean": mean} for lr, mean in ((1, 0.5), (2, 0.7), (3, 0.7))]
    assert search.best(results) == {"lr": 2}
