"""Reading an accept file: what entries mean, and one sentence for each that is wrong."""

import json
from dataclasses import asdict
from datetime import date

import pytest
from test_docs import ROOT

from pytest_ftcompare.gate.accept_file import AcceptFileError, check_known, read
from pytest_ftcompare.results.allowance import Allowance
from pytest_ftcompare.results.cost_metrics import COUNTS

ENTRY = {
    "case": '"lora-*"',
    "what": '"accuracy"',
    "at_most": "0.02",
    "owner": '"Ann"',
    "reason": '"the tokenizer is being repaired"',
    "link": '"https://example.org/7"',
    "expires": "2027-01-31",
}


def text(**changes):
    """Return an entry as TOML; None leaves a key out."""
    values = ENTRY | changes
    lines = [f"{key} = {value}" for key, value in values.items() if value is not None]
    return "\n".join(["[[accepted]]", *lines, ""])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "accept.toml"
    path.write_text("")
    return path


def test_an_entry_is_read_as_it_is_written(file):
    file.write_text(
        text(reason='"""the tokenizer\n is being repaired"""')
        + text(suite='"few_*"', what='"peak bytes"', at_most='"12.5 %"')
    )
    first, second = read(file)
    assert asdict(first) == {
        "case": "lora-*",
        "suite": "*",
        "what": "accuracy",
        "at_most": 0.02,
        "owner": "Ann",
        "reason": "the tokenizer is being repaired",
        "link": "https://example.org/7",
        "expires": "2027-01-31",
    }
    assert (second.suite, second.what, second.at_most) == ("few_*", "peak bytes", 0.125)


def test_an_empty_file_accepts_nothing(file):
    assert read(file) == ()


@pytest.mark.parametrize(
    ("what", "value", "limit"),
    [
        ("accuracy_ood", '"2.5 pt"', 0.025),
        ("accuracy", '"3pt"', 0.03),
        ("step", "0.1", 0.1),
        ("flops", '"150 %"', 1.5),
        ("recipe", '"recipe lr 0.1 -> *"', "recipe lr 0.1 -> *"),
    ],
)
def test_a_limit_has_the_unit_in_which_reports_tell_the_change(file, what, value, limit):
    file.write_text(text(what=json.dumps(what), at_most=value))
    assert read(file)[0].at_most == pytest.approx(limit)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[[accepted]\n", r"accept.toml is not valid TOML: Expected '\]\]'"),
        (text(expires="2027-02-30"), r"is not valid TOML: .*line 8"),
        ("accept = 1\n", r"expected only \[\[accepted\]\] tables, found 'accept'"),
        ("[accepted]\ncase = 'x'\n", r"expected only \[\[accepted\]\] tables, found 'accepted'"),
        ("accepted = [1]\n", r"number 1: expected a table, got 1"),
        (text(owner=None), r"number 1: expected case, suite, .*; owner is missing"),
        (text(until="2027-01-31"), r"number 1: expected case, .*; found 'until'"),
        (text(owner="7"), r"number 1: expected owner to be a text, got 7"),
        (text(link='" "'), r"number 1: expected link to be a text, got ' '"),
        (text(suite="[]"), r"number 1: expected suite to be a text, got \[\]"),
        (text(what='"loss"'), r"expected what to be a score \(accuracy, .*\), .* got 'loss'"),
        (text(what='"invariant"'), r"expected what to be .* got 'invariant'"),
        (text(expires='"2027-01-31"'), r"to be a date such as 2027-01-31, .* got '2027-01-31'"),
        (text(expires="2027-01-31T10:00:00"), r"to be a date .* got '2027-01-31 10:00:00'"),
        (text(at_most='"a lot"'), r"number with its unit for accuracy, .*2 pt.* got 'a lot'"),
        (text(at_most='"2 %"'), r"such as 0.02 or \"2 pt\", got '2 %'"),
        (text(at_most="2"), r"a share below 1 .* got 2"),
        (text(at_most="-0.1"), r"a share below 1 .* got -0.1"),
        (text(at_most="nan"), r"a share below 1 .* got nan"),
        (text(at_most="true"), r"a share below 1 .* got True"),
        (text(what='"step"', at_most='"2 pt"'), r"for step, such as 0.1 or \"10 %\", got '2 pt'"),
        (
            text(what='"recipe"'),
            r"to be the sentence that the report gives for recipe.* 0.02",
        ),
        (text() + text(at_most="0.03"), r"numbers 1 and 2 are both for accuracy of lora-\*"),
    ],
)
def test_a_wrong_file_is_one_sentence(file, content, sentence):
    file.write_text(content)
    with pytest.raises(AcceptFileError, match=sentence) as error:
        read(file)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_text_is_one_sentence(file):
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(AcceptFileError, match="is not valid TOML: 'utf-8' codec"):
        read(file)


def test_a_level_may_have_an_entry_for_each_sentence(file):
    entries = [text(what='"recipe"', at_most=f'"recipe {name} *"') for name in ("lr", "epochs")]
    file.write_text("".join(entries))
    assert len(read(file)) == 2


def test_a_case_must_be_known_in_its_suite(file):
    allowance = Allowance("lora-*", "*", "accuracy", 0.1, "Ann", "why", "link", "2027-01-31")
    check_known(file, [allowance], {"few_shot": ["full-a", "lora-a"]})
    for known in ({}, {"few_shot": ["full-a"]}):
        with pytest.raises(AcceptFileError, match=r"no baseline has a case 'lora-\*': correct"):
            check_known(file, [allowance], known)


def test_an_id_is_itself_although_it_has_characters_of_patterns():
    case = "lora-a-target_modules=['q', 'v']"
    allowance = Allowance(case, "*", "accuracy", 0.1, "Ann", "why", "link", "2027-01-31")
    assert allowance.names("few_shot", case)


def test_the_counts_are_those_of_the_shipped_baselines():
    baseline = next((ROOT / "baselines" / "cpu").glob("few_shot/lora-*.json"))
    execution = json.loads(baseline.read_text())["signature"]["execution"]
    assert set(execution) == set(COUNTS)


def test_the_example_of_the_docs_is_read(file):
    page = (ROOT / "docs" / "updating.md").read_text(encoding="utf-8")
    examples = [block.split("```")[0] for block in page.split("```toml\n")[1:]]
    assert len(examples) == 1
    file.write_text(examples[0])
    accuracy, recipe = read(file)
    assert (accuracy.what, accuracy.at_most) == ("accuracy", 0.02)
    assert recipe.permits("recipe lr 0.005 -> 0.002")
    assert date.fromisoformat(recipe.expires)
