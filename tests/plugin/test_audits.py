"""An audit refuses a case with one sentence before it trains, and no baseline is written."""

import json

import pytest


@pytest.fixture
def joined(shell):
    """Options for a hub folder with GLUE's CoLA: its development set has the out-of-domain rows."""
    folder = shell.pytester.path / "hub" / "datasets" / "nyu-mll" / "cola"
    folder.mkdir(parents=True)
    for name, rows in {
        "train": range(400),
        "validation": range(400, 600),
        "ood": range(500, 600),
    }.items():
        (folder / f"{name}.jsonl").write_text(
            "\n".join(json.dumps({"sentence": f"row {n}", "label": n % 2}) for n in rows)
        )
    shell.suite(tasks=("cola",))
    return "--ftcompare-profile=local", f"--ftcompare-hub={shell.pytester.path / 'hub'}"


def test_a_test_set_with_the_out_of_domain_rows_in_it_is_refused_in_one_sentence(shell, joined):
    result = shell.run(*joined)
    result.assert_outcomes(failed=1)
    text = " ".join(result.stdout.str().split())
    sentence = (
        "overlap: expected rows in split test of task cola that split ood does not have, "
        "100 of 200 are in both"
    )
    assert sentence in text
    assert "Traceback" not in text
    result.stdout.fnmatch_lines(["1 case: 1 invalid."])


def test_an_update_writes_nothing_for_a_case_that_is_refused(shell, joined):
    result = shell.run("--update-baselines", *joined)
    result.assert_outcomes(failed=1)
    assert shell.files() == []


def test_a_teacher_that_sees_what_its_student_sees_is_refused(shell):
    shell.suite(
        methods=("context_distillation",),
        extra='options={"demonstrations": 0, "instruction": False}',
    )
    result = shell.run("--update-baselines")
    result.assert_outcomes(failed=1)
    assert "untold teacher: expected the teacher of context_distillation" in " ".join(
        result.stdout.str().split()
    )
    assert shell.files() == []


def test_a_method_that_selects_on_the_test_split_is_refused(shell, monkeypatch):
    from pytest_ftcompare import methods

    monkeypatch.setattr(
        methods.load("full"), "targets", lambda self, context: context.prepared.examples["test"]
    )
    result = shell.run()
    result.assert_outcomes(failed=1)
    text = " ".join(result.stdout.str().split())
    assert (
        "expected a method to see training rows only, it asked for split 'test'" in text
        and "Traceback" not in text
    )
