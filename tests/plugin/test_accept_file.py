"""Known regressions that pass for a while: what a session does and says, with recorded numbers."""

import html
import json
import shutil
import xml.etree.ElementTree as ElementTree
from datetime import timedelta

import pytest
from jsonschema import Draft202012Validator
from recorded import SCORES, RecordedSuite
from weather import TODAY

from pytest_ftcompare.report import markdown
from pytest_ftcompare.report.document_reader import read, schema
from pytest_ftcompare.report.github import annotations

VALIDATOR = Draft202012Validator(schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)
WORKERS = [(), ("-n2",)]
ACCEPT = "--ftcompare-accept=accept.toml"
WORSE = {"scores": [score - 0.15 for score in SCORES]}
CASE = "full-pocket_sst-opt-0.4m-n2"
ORIGIN = "owner Ann, https://example.org/7 (its tokenizer is being repaired)"
ORIGIN_FIELDS = {
    "owner": "Ann",
    "reason": "its tokenizer is being repaired",
    "link": "https://example.org/7",
}
# What moves in `CASE`.
BOTH = ({"what": "accuracy"}, {"what": "loss curve", "at_most": "*"})
ACCEPTED = f"accepted until {TODAY}: accuracy (15.00 pt of at most 16 pt), loss curve; {ORIGIN}"


@pytest.fixture
def suite(pytester, monkeypatch):
    """A suite whose method full lost accuracy since its baseline."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    made = RecordedSuite(pytester)
    made.update()
    made.record(full=WORSE)
    return made


def accept(recorded, *entries, **changes):
    """Write the accept file: by default with both things that moved in `CASE`."""
    usual = ORIGIN_FIELDS | {"case": CASE, "expires": TODAY, "at_most": "16 pt"} | changes
    text = ""
    for entry in entries or BOTH:
        text += "[[accepted]]\n"
        for key, value in (usual | entry).items():
            text += f"{key} = {value if key == 'expires' else json.dumps(value)}\n"
    (recorded.pytester.path / "accept.toml").write_text(text)


def text_of(result):
    """Return the output with its wrapped lines joined."""
    return " ".join(result.stdout.str().split())


def plain(comment):
    """Return Markdown without its escapes."""
    return html.unescape(comment).replace("\\", "").replace("\u200b", "")


@pytest.mark.parametrize("workers", WORKERS, ids=["without xdist", "n2"])
def test_a_known_regression_within_its_limit_passes_on_its_last_day(suite, workers):
    accept(suite)
    result = suite.run(ACCEPT, *workers)
    result.assert_outcomes(passed=3)
    text = text_of(result)
    change = "accuracy 70.0% -> 55.0%: -15.0 pt ± 0.9 (p=2.7e-11, 5 seeds)"
    assert f"worse, accepted for a while: {CASE} {change}" in text
    assert ACCEPTED in text
    count = f"2 known regressions accepted, until {TODAY} at the earliest."
    assert f"3 cases: 2 same, 1 worse. {count}" in text
    assert "Run only these again" not in text


@pytest.mark.parametrize("workers", WORKERS, ids=["without xdist", "n2"])
def test_beyond_its_limit_it_fails_and_says_both_numbers(suite, workers):
    accept(suite, at_most=0.145)
    result = suite.run(ACCEPT, *workers)
    result.assert_outcomes(passed=2, failed=1)
    text = text_of(result)
    assert f"Accuracy: accepted up to 14.5 pt, is 15.00 pt; {ORIGIN}." in text
    counts = f"1 known regression accepted, until {TODAY}; 1 worse than accepted."
    assert f"3 cases: 2 same, 1 worse. {counts}" in text
    assert "Run only these again" in text


def test_what_no_entry_names_fails_it_too(suite):
    accept(suite)
    suite.record(full=WORSE | {"peak": 2**21})
    result = suite.run(ACCEPT)
    result.assert_outcomes(passed=2, failed=1)
    assert "Not accepted: peak bytes." in text_of(result)
    accept(suite, *BOTH, {"what": "peak bytes", "at_most": "100 %"})
    suite.run(ACCEPT).assert_outcomes(passed=3)


def test_after_its_last_day_it_fails_and_names_date_and_owner(suite):
    yesterday = TODAY - timedelta(days=1)
    accept(suite, expires=yesterday)
    result = suite.run(ACCEPT)
    result.assert_outcomes(passed=2, failed=1)
    text = text_of(result)
    assert f"Acceptance of accuracy, loss curve expired on {yesterday}; {ORIGIN}." in text
    assert "2 accepted regressions expired." in text


@pytest.mark.parametrize("days", [0, -1], ids=["valid", "expired"])
def test_an_entry_that_covers_nothing_is_told_and_fails_nothing(suite, days):
    suite.record()
    accept(suite, expires=TODAY + timedelta(days=days))
    result = suite.run(ACCEPT)
    assert result.ret == 0
    text = text_of(result)
    assert "2 accepted regressions no longer needed." in text
    assert f"accuracy of {CASE}: no longer needed, remove the entry; {ORIGIN}" in text


def test_a_time_of_a_case_that_is_not_timed_needs_no_entry(pytester):
    made = RecordedSuite(pytester)
    # Only the first case of a method and model is timed.
    tasks = ("pocket_sst", "pocket_cola")
    made.suite(methods=("full",), tasks=tasks)
    made.update()
    entries = [{"case": f"full-{task}-opt-0.4m-n2", "what": "step"} for task in tasks]
    accept(made, *entries, at_most="10 %")
    text = text_of(made.run(ACCEPT))
    assert "step of full-pocket_cola-opt-0.4m-n2: no longer needed" in text
    assert "1 accepted regression no longer needed." in text


def test_a_pattern_is_needed_until_all_its_cases_were_judged(suite):
    suite.record()
    accept(suite, case="*-pocket_sst-*")
    assert "no longer needed" not in text_of(suite.run(ACCEPT, "-k", "full or lora"))
    assert "2 accepted regressions no longer needed" in text_of(suite.run(ACCEPT))


@pytest.mark.parametrize("workers", WORKERS, ids=["without xdist", "n2"])
def test_an_update_makes_an_entry_unneeded(suite, workers):
    accept(suite)
    result = suite.run(ACCEPT, "--update-baselines", *workers)
    assert result.ret == 0
    text = text_of(result)
    assert "2 accepted regressions no longer needed." in text
    assert "for a while" not in text
    assert "2 accepted regressions no longer needed." in text_of(suite.run(ACCEPT, *workers))


@pytest.mark.parametrize("workers", WORKERS, ids=["without xdist", "n2"])
def test_a_case_that_no_table_and_no_baseline_has_is_one_sentence(suite, workers):
    accept(suite, case="fulll-*")
    result = suite.run(ACCEPT, *workers)
    assert result.ret != 0
    output = f"{result.stdout}\n{result.stderr}"
    sentence = (
        "accept.toml: no table and no baseline has a case 'fulll-*': correct the name, or remove "
        "the entry"
    )
    assert sentence in output
    assert "INTERNALERROR" not in output
    result.assert_outcomes(errors=bool(workers))


def test_a_case_of_another_suite_is_named_with_it(suite):
    accept(suite, *({"suite": "slow"} | entry for entry in BOTH))
    result = suite.run(ACCEPT)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*no baseline has a case '{CASE}' of suite 'slow': correct*"])


@pytest.mark.parametrize(
    "selection", [("-k", "lora"), ("--deselect", f"test_quick.py::test_quick[{CASE}]")]
)
def test_a_case_that_does_not_run_is_no_error_and_stays_needed(suite, selection):
    accept(suite, case="full-*")
    for path in suite.baselines.rglob("full-*.json"):
        path.unlink()  # so that only its table has it
    result = suite.run(ACCEPT, *selection)
    assert result.ret == 0
    assert "no longer needed" not in text_of(result)
    verbose = text_of(suite.run(ACCEPT, "-v", *selection))
    assert "accuracy of full-*: not settled here, or not all of its cases ran" in verbose


def test_a_case_of_a_suite_that_was_not_collected_is_no_error(suite):
    accept(suite, case="full-*")
    suite.suite(("icl",), name="test_other")
    suite.run(ACCEPT, "test_other.py", "--update-baselines").assert_outcomes(passed=1)


def test_a_session_without_cases_does_not_check_the_names(suite):
    accept(suite, case="fulll-*")
    suite.pytester.makepyfile(test_plain="def test_plain(): pass")
    assert suite.run(ACCEPT, "test_plain.py").ret == 0


def test_an_invalid_case_and_a_new_one_are_never_accepted(suite):
    accept(suite)
    suite.record(full={"broken": ["a weight moved"]})
    suite.run(ACCEPT).assert_outcomes(passed=2, failed=1)
    suite.record(full=WORSE)
    suite.file("full").unlink()
    suite.run(ACCEPT).assert_outcomes(passed=2, failed=1)


@pytest.mark.parametrize("option", [(), (ACCEPT,)], ids=["ini key", "option"])
def test_the_file_is_relative_to_the_root(suite, monkeypatch, option):
    accept(suite)
    key = "" if option else "ftcompare_accept = accept.toml"
    suite.pytester.makeini(f"[pytest]\n{key}\n")
    monkeypatch.chdir(suite.pytester.mkdir("elsewhere"))
    suite.run("..", *option).assert_outcomes(passed=3)
    # As `bisect` runs: without the file.
    suite.run("..", "--ftcompare-accept=").assert_outcomes(passed=2, failed=1)


def test_against_other_baselines_than_the_projects_no_entry_is_unneeded(suite):
    """As `try` compares: the project's own baselines may still need the entry."""
    suite.record()
    accept(suite)
    shutil.copytree(suite.baselines, suite.pytester.path / "others")
    result = suite.run(ACCEPT, "--ftcompare-baselines=others")
    assert result.ret == 0
    assert "no longer needed" not in text_of(result)


def test_a_file_that_is_wrong_is_one_sentence_before_anything_runs(suite):
    for workers in WORKERS:
        (suite.pytester.path / "accept.toml").write_text("[[accepted]\n")
        result = suite.run(ACCEPT, *workers)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(
            ["ERROR: --ftcompare-accept: *accept.toml is not valid TOML: Expected*"]
        )
        result = suite.run("--ftcompare-accept=none.toml", *workers)
        result.stderr.fnmatch_lines(["ERROR: *none.toml cannot be read (No such file*"])


def test_every_report_tells_of_it(suite):
    accept(suite, *BOTH, {"what": "accuracy", "case": "lora-*"})
    result = suite.run(
        *(ACCEPT, "--ftcompare-report=run.json", "--ftcompare-report=run.html"),
        "--junit-xml=junit.xml",
    )
    assert result.ret == 0
    text = (suite.pytester.path / "run.json").read_text(encoding="utf-8")
    assert [
        f"{one.json_path}: {one.message}" for one in VALIDATOR.iter_errors(json.loads(text))
    ] == []
    document = read(text)
    case = document["cases"][0]
    assert (case["verdict"], case["failed"], case["allowed"]) == ("worse", False, True)
    assert [(one["what"], one["state"]) for one in case["allowances"]] == [
        ("accuracy", "covers"),
        ("loss curve", "covers"),
    ]
    assert [(one["state"], one["cases"]) for one in document["allowances"]] == [
        ("accepted", [f"quick/{CASE}"]),
        ("accepted", [f"quick/{CASE}"]),
        ("unneeded", []),
    ]

    covers = f"accuracy of {CASE}: accepted until {TODAY} in 1 case; {ORIGIN}"
    unneeded = f"accuracy of lora-*: no longer needed, remove the entry; {ORIGIN}"
    comment = plain(markdown.render(document))
    head = "## ftcompare passed: 1 worse, 2 same of 3 cases, 1 accepted for a while"
    assert comment.startswith(head)
    assert "### Failed" not in comment
    assert "### Accepted for a while" in comment
    for sentence in (ACCEPTED, covers, unneeded):
        assert sentence in comment

    page = (suite.pytester.path / "run.html").read_text(encoding="utf-8")
    assert "Nothing fails in 3 cases. 1 case accepted for a while." in page
    assert "worse, accepted for a while</span>" in page
    assert f"<li>{covers}</li>" in page and f"<li>{unneeded}</li>" in page

    warning, notice = annotations(document)
    assert warning == f"::warning title=known regression::{unneeded}"
    assert notice.startswith(
        f"::notice file=test_quick.py,title=worse%2C accepted for a while%3A {CASE}::accuracy"
    )
    assert ACCEPTED in notice.replace("%25", "%")

    tests = ElementTree.parse(suite.pytester.path / "junit.xml").iter("testcase")
    properties = {
        test.attrib["name"]: {
            one.attrib["name"]: one.attrib["value"] for one in test.iter("property")
        }
        for test in tests
    }
    ours = properties[f"test_quick[{CASE}]"]
    assert (ours["verdict"], ours["accepted until"]) == ("worse", str(TODAY))
    assert (ours["accuracy allowance"], ours["loss curve allowance"]) == ("covers", "covers")
    other = properties["test_quick[lora-pocket_sst-opt-0.4m-n2]"]
    assert (other["accuracy allowance"], "accepted until" in other) == ("idle", False)


def test_a_failure_in_every_report_says_what_was_accepted(suite):
    accept(suite, at_most="14 pt")
    suite.run(ACCEPT, "--ftcompare-report=run.json")
    document = read((suite.pytester.path / "run.json").read_text(encoding="utf-8"))
    sentence = f"accuracy: accepted up to 14 pt, is 15.00 pt; {ORIGIN}"
    assert sentence in plain(markdown.render(document))
    error, *_ = annotations(document)
    assert error.startswith("::error") and sentence in error
