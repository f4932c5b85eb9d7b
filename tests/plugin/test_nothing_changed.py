"""If nothing changed, an equal short training stands for the full one; else seeds are trained."""

import json
import xml.etree.ElementTree as ElementTree

import pytest
from recorded import RecordedSuite

SHORT = {"short training": "d"}
TRAINED = SHORT | {"raises": "a seed was trained"}


@pytest.fixture
def recorded(pytester):
    suite = RecordedSuite(pytester)
    suite.record(full=SHORT, lora=SHORT)
    suite.update()
    return suite


def short(result):
    """Return how many cases were judged by a short training."""
    lines = [line for line in result.outlines if line.startswith("Short training:")]
    return int(lines[0].split()[2]) if lines else 0


def test_an_update_stores_the_short_training_and_a_session_trains_no_seed(recorded):
    assert json.loads(recorded.file("full").read_text())["short_training"] == "d"
    recorded.record(full=SHORT, lora=TRAINED)
    result = recorded.run("-v", "--ftcompare-report=report.json", "--junitxml=report.xml")
    assert result.ret == 0
    assert short(result) == 2
    result.stdout.fnmatch_lines(["lora *identical =  (short) * same", "3 cases: 3 same."])
    report = json.loads((recorded.pytester.path / "report.json").read_text())
    (lora,) = [case for case in report["cases"] if case["method"] == "lora"]
    assert (lora["identical"], lora["seed_results"]) == (True, [])
    assert {comparison["seeds"] for comparison in lora["comparisons"]} == {0}
    properties = ElementTree.parse(recorded.pytester.path / "report.xml").iter("property")
    assert [element.get("value") for element in properties if element.get("name") == "seeds"] == [
        "0",
        "1",
        "0",
    ]


@pytest.mark.parametrize("option", ["--ftcompare-full", "--ftcompare-history=h.db"])
def test_all_seeds_are_trained_with_full_or_a_history(recorded, option):
    result = recorded.run(option)
    assert result.ret == 0
    assert short(result) == 0


def test_a_provisional_baseline_has_no_short_training(recorded):
    recorded.record(full=SHORT, lora=SHORT)
    recorded.update("--ftcompare-provisional")
    assert json.loads(recorded.file("full").read_text())["short_training"] == ""


def test_a_short_training_that_does_not_repeat_has_seeds_trained(recorded):
    recorded.record(full={"short training": "e"}, lora=SHORT)
    assert short(recorded.run()) == 1


def test_a_broken_invariant_has_seeds_trained(recorded):
    recorded.record(full=TRAINED | {"broken": ["what is frozen must stay"]}, lora=SHORT)
    result = recorded.run()
    assert result.ret == 1
    assert short(result) == 1
    result.stdout.fnmatch_lines(["*a seed was trained*"])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("environment", {"torch": "2.12.0"}),
        ("recipe", {"lr": 1.0}),
        ("probe", {"loss": 0.70000001}),
        ("signature", {"structure": {"trainable": 11}}),
    ],
)
def test_a_difference_from_the_baseline_has_seeds_trained(recorded, place, value):
    file = recorded.file("full")
    baseline = json.loads(file.read_text())
    baseline[place] |= value
    file.write_text(json.dumps(baseline))
    recorded.record(full=TRAINED, lora=SHORT)
    result = recorded.run()
    assert short(result) == 1
    result.stdout.fnmatch_lines(["*a seed was trained*"])


@pytest.mark.parametrize("name", ["commit", "machine"])
def test_a_commit_and_a_machines_name_count_as_no_change(recorded, name):
    file = recorded.file("full")
    baseline = json.loads(file.read_text())
    baseline["environment"][name] = "another"
    file.write_text(json.dumps(baseline))
    assert short(recorded.run()) == 2


def test_a_baseline_without_a_short_training_has_seeds_trained(recorded):
    file = recorded.file("full")
    baseline = json.loads(file.read_text())
    del baseline["short_training"]
    file.write_text(json.dumps(baseline))
    assert short(recorded.run()) == 1


def test_an_update_with_more_seeds_keeps_the_rows_of_all_of_them(recorded):
    recorded.update("--ftcompare-seeds=5")
    assert short(recorded.run()) == 2  # of as many seeds as the baseline has
