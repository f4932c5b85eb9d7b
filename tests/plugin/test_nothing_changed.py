"""Where nothing changed, a short training that repeats its baseline's stands for the whole; else seeds are trained."""

import json
import xml.etree.ElementTree as ElementTree

import pytest
from recorded import RecordedSuite

SAID = {"short training": "d"}
TRAINED = SAID | {"raises": "a seed was trained"}


@pytest.fixture
def recorded(pytester):
    found = RecordedSuite(pytester)
    found.says(full=SAID, lora=SAID)
    found.update()
    return found


def short(result):
    """How many cases were judged by a short training."""
    lines = [line for line in result.outlines if line.startswith("Short training:")]
    return int(lines[0].split()[2]) if lines else 0


def test_an_update_keeps_what_the_short_training_gave_and_a_session_trains_no_seed(recorded):
    assert json.loads(recorded.file("full").read_text())["short_training"] == "d"
    recorded.says(full=SAID, lora=TRAINED)
    result = recorded.run("-v", "--ftcompare-report=report.json", "--junitxml=report.xml")
    assert result.ret == 0
    assert short(result) == 2
    result.stdout.fnmatch_lines(["lora *identical =  (short) * same", "3 cases: 3 same."])
    report = json.loads((recorded.pytester.path / "report.json").read_text())
    (lora,) = [one for one in report["cases"] if one["method"] == "lora"]
    assert (lora["identical"], lora["seed_results"]) == (True, [])
    assert {one["seeds"] for one in lora["comparisons"]} == {0}
    found = ElementTree.parse(recorded.pytester.path / "report.xml").iter("property")
    assert [one.get("value") for one in found if one.get("name") == "seeds"] == ["0", "1", "0"]


@pytest.mark.parametrize("option", ["--ftcompare-full", "--ftcompare-history=h.db"])
def test_the_whole_is_trained_where_it_is_asked_for(recorded, option):
    result = recorded.run(option)
    assert result.ret == 0
    assert short(result) == 0


def test_a_short_training_that_does_not_repeat_has_seeds_trained(recorded):
    recorded.says(full={"short training": "e"}, lora=SAID)
    assert short(recorded.run()) == 1


def test_a_broken_invariant_has_seeds_trained(recorded):
    recorded.says(full=TRAINED | {"broken": ["what is frozen must stay"]}, lora=SAID)
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
def test_what_is_not_the_baselines_has_seeds_trained(recorded, place, value):
    file = recorded.file("full")
    baseline = json.loads(file.read_text())
    baseline[place] |= value
    file.write_text(json.dumps(baseline))
    recorded.says(full=TRAINED, lora=SAID)
    result = recorded.run()
    assert short(result) == 1
    result.stdout.fnmatch_lines(["*a seed was trained*"])


@pytest.mark.parametrize("name", ["commit", "machine"])
def test_a_commit_and_a_name_of_the_machine_change_nothing(recorded, name):
    file = recorded.file("full")
    baseline = json.loads(file.read_text())
    baseline["environment"][name] = "another"
    file.write_text(json.dumps(baseline))
    assert short(recorded.run()) == 2


def test_a_baseline_of_before_has_seeds_trained(recorded):
    file = recorded.file("full")
    baseline = json.loads(file.read_text())
    del baseline["short_training"]
    file.write_text(json.dumps(baseline))
    assert short(recorded.run()) == 1


def test_an_update_with_more_seeds_keeps_the_rows_of_all_of_them(recorded):
    recorded.update("--ftcompare-seeds=5")
    assert short(recorded.run()) == 2  # of as many seeds as the baseline has
