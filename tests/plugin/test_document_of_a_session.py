"""A real session's document: valid by its schema, and rendered as Markdown and annotations."""

import json
from types import SimpleNamespace

import pytest
from jsonschema import Draft202012Validator

from pytest_ftcompare.gate.session import TestOutcome
from pytest_ftcompare.report import document, markdown
from pytest_ftcompare.report.document_reader import read, schema
from pytest_ftcompare.report.github import annotations

VALIDATOR = Draft202012Validator(schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)


@pytest.fixture
def report(shell, monkeypatch):
    """A function that runs the suite and returns its report, which must be valid."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)

    def made(*arguments):
        result = shell.run("--ftcompare-report=run.json", *arguments)
        text = (shell.pytester.path / "run.json").read_text(encoding="utf-8")
        assert [
            f"{error.json_path}: {error.message}"
            for error in VALIDATOR.iter_errors(json.loads(text))
        ] == []
        return read(text), result

    return made


def test_a_sessions_document_is_valid(report):
    accepted, _ = report("--update-baselines", "--ftcompare-seeds=2")
    assert [(one["verdict"], one["accepted"], one["failed"]) for one in accepted["cases"]] == [
        ("new", True, False)
    ]
    assert "Baselines were to be written: 1 case and 0 claims accepted." in markdown.render(
        accepted
    )

    held, result = report()
    (case,) = held["cases"]
    assert (case["verdict"], held["failed"], result.ret) == ("same", False, 0)
    assert case["baseline"]["seed_results"] == accepted["cases"][0]["seed_results"]
    assert [one["metric"] for one in case["comparisons"]] == ["accuracy", "accuracy_ood"]
    assert annotations(held) == []
    assert {kind: set(spent) for kind, spent in held["spent"].items()} == {
        "suites": {"quick"},
        "methods": {"full"},
    }


def test_a_suite_without_cases_has_seconds_too(shell, report):
    shell.pytester.makepyfile(test_other="def test_other(): pass")
    shell.suite(methods=("full",), extra="options={'epochs': 1}, judge_accuracy=False")
    made, _ = report("--update-baselines", "--ftcompare-seeds=1")
    assert set(made["spent"]["suites"]) == {"quick", "other"}


def test_seconds_of_suites_and_methods_are_summed_and_sorted():
    outcomes = [
        TestOutcome("t", seconds, False, {"method": method})
        for method, seconds in (("full", 2.0), ("lora", 1.25), ("lora", 2.0))
    ]
    claim = TestOutcome("c", 9.0, False)
    session = SimpleNamespace(
        suite_seconds={"a": 1.0, "b": 2.04}, test_outcomes=dict(enumerate([*outcomes, claim]))
    )
    assert (
        json.dumps(document._seconds_spent(session))
        == '{"suites": {"b": 2.0, "a": 1.0}, "methods": {"lora": 3.2, "full": 2.0}}'
    )


def test_the_document_of_a_case_that_cannot_run_is_valid(shell, report):
    shell.suite(shots=(10**6,))
    invalid, result = report()
    (case,) = invalid["cases"]
    assert (case["verdict"], case["seed_results"], case["accept"], result.ret) == (
        "invalid",
        [],
        "",
        1,
    )
    assert annotations(invalid)[0].startswith(
        "::error file=test_quick.py,title=invalid%3A full-pocket_sst-"
    )
    assert "1000000" in markdown.render(invalid)
