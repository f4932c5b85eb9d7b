"""Known regressions that pass for a while: what a session does and says, with recorded numbers."""

import html
import json
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
ORIGIN_FIELDS = ("Ann", "its tokenizer is being repaired", "https://example.org/7")
BOTH = ({"what": "accuracy"}, {"what": "loss curve"})  # what moves in `CASE`
ACCEPTED = f"accepted until {TODAY}: accuracy (15.00 pt of at most 16 pt), loss curve"
ORIGIN = "owner Ann: its tokenizer is being repaired, https://example.org/7"


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
    """Write the accept file: by default, both things that moved in `CASE` are in it."""
    usual = {"case": CASE, "expires": TODAY, "at_most": "16 pt"} | changes
    whole = [usual | entry for entry in entries or BOTH]
    texts = []
    for entry in whole:
        origin = dict(zip(("owner", "reason", "link"), ORIGIN_FIELDS, strict=True))
        table = origin | entry
        if table["what"] == "loss curve":
            table["at_most"] = "*"
        output = f"{result.stdout}\n{result.stderr}"
    sentence = (
        "accept.toml: no table and no baseline has a case 'fulll-*': correct the name, or remove "
        "the entry"
    )
    assert sentence in output
    assert "INTERNALERROR" not in output
    result.assert_outcomes(errors=bool(workers))


def test_a_case_of_another_suite_is_named_with_it(suite):
    accept(suite, suite="slow")
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


def test_the_file_may_be_an_ini_key_relative_to_the_root(suite):
    accept(suite)
    suite.pytester.makeini("[pytest]\nftcompare_accept = accept.toml\n")
    folder = suite.pytester.mkdir("elsewhere")
    suite.pytester.chdir()
    assert suite.run(f"--rootdir={suite.pytester.path}").ret == 0
    assert folder.is_dir()


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

    accepted = f"{ACCEPTED}; {ORIGIN}"
    covers = f"accuracy of {CASE}: accepted until {TODAY} in 1 case; {ORIGIN}"
    unneeded = f"accuracy of lora-*: no longer needed, remove the entry; {ORIGIN}"
    comment = plain(markdown.render(document))
    head = "## ftcompare passed: 1 worse, 2 same of 3 cases, 1 accepted for a while"
    assert comment.startswith(head)
    assert "### Failed" not in comment
    assert "### Accepted for a while" in comment
    for sentence in (accepted, covers, unneeded):
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
    assert accepted in notice.replace("%25", "%")

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
