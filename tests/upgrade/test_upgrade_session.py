"""A session leaves the project as it is, and arguments that would spoil it are refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ftcompare.gate.session import SESSION_NODEID
from pytest_ftcompare.plugin.options import make_settings
from pytest_ftcompare.upgrade import session
from pytest_ftcompare.upgrade.session import (
    TryError,
    check_arguments,
    results_key,
    run_session,
    with_suites,
)

DOCUMENT = {"cases": [{"nodeid": "suites/test_a.py::test_case[lora-x]"}], "claims": []}
JUNIT = """\
<testsuites><testsuite name="pytest">
<testcase classname="suites.test_a" name="test_case[lora-x]" file="suites/test_a.py" line="3">
<failure message="Failed: lora-x: worse&#10;  more">text</failure>
</testcase>
<testcase classname="suites.test_b.TestLora" name="test_merge" file="suites/test_b.py" line="3">
<failure message="assert 1 == 2&#10;  +  where 1 = f()">text</failure></testcase>
<testcase classname="suites.test_b" name="test_setup" file="suites/test_b.py" line="3">
<error message="failed on setup with KeyError">text</error></testcase>
<testcase classname="suites.test_b" name="test_known" file="suites/test_b.py" line="3">
<skipped type="pytest.xfail" message="peft's fault"/></testcase>
<testcase classname="suites.test_b" name="test_passes" file="suites/test_b.py" line="9"/>
</testsuite></testsuites>
"""


@pytest.fixture
def pytest_runs(monkeypatch):
    """Stand for pytest: write a document, print a line, and end with `status`."""

    def run(command, stdout=None, **_):
        run.command = command
        (report,) = [text.partition("=")[2] for text in command if "-report=" in text]
        Path(report).write_text(json.dumps(DOCUMENT))
        (tests,) = [text.partition("=")[2] for text in command if "--junit-xml=" in text]
        Path(tests).write_text(run.junit)
        if stdout:
            stdout.write("its output\n")
        return subprocess.CompletedProcess(command, run.status)

    monkeypatch.delenv("PYTHONPATH", raising=False)
    run.status, run.junit = 0, JUNIT
    monkeypatch.setattr(session.subprocess, "run", run)
    return run


@pytest.mark.parametrize(("status", "document"), [(0, DOCUMENT), (1, DOCUMENT), (4, {})])
def test_a_session_that_ran_has_a_document(pytest_runs, tmp_path, status, document):
    pytest_runs.status = status
    found = run_session(Path("python"), ["suites"], tmp_path, "new")
    assert (found.status, found.document, found.ran) == (status, document, bool(document))


def test_failed_tests_are_told_by_their_node_ids(pytest_runs, tmp_path):
    found = run_session(Path("python"), ["suites"], tmp_path, "new")
    assert found.failed_tests == {
        "suites/test_a.py::test_case[lora-x]": "Failed: lora-x: worse; more",
        "suites/test_b.py::TestLora::test_merge": "assert 1 == 2",
        "suites/test_b.py::test_setup": "failed on setup with KeyError",
    }
    assert found.expected_failures == {"suites/test_b.py::test_known": "peft's fault"}
    assert found.other_failed_tests.keys() == {
        "suites/test_b.py::TestLora::test_merge",
        "suites/test_b.py::test_setup",
    }


def test_the_projects_cache_and_history_stay(pytest_runs, tmp_path):
    run_session(Path("python"), ["suites"], tmp_path, "new")
    command = pytest_runs.command
    assert command[:4] == ["python", "-m", "pytest", "suites"]
    assert f"cache_dir={tmp_path / 'new-cache'}" in command
    # After the arguments: addopts and PYTEST_ADDOPTS may give them, too.
    assert command.index("--ftcompare-history=") > command.index("suites")
    assert command.index("--maxfail=0") > command.index("suites")
    assert "ftcompare_history=" in command


def test_the_output_can_go_to_a_file(pytest_runs, tmp_path):
    run_session(Path("python"), [], tmp_path, "new", log=True)
    assert (tmp_path / "new.log").read_text() == "its output\n"


@pytest.mark.parametrize(
    "argument",
    [
        *("--update-baselines", "--update-baselines-new-only", "--ftcompare-baselines=x"),
        *(
            "--lf",
            "-x",
            "-xv",
            "-vqx",
            "--maxfail=1",
            "--benchmark-disable",
            "--ftcompare-history=h.db",
        ),
    ],
)
def test_arguments_of_the_command_itself_are_refused(argument):
    with pytest.raises(TryError, match=f"got {argument}: leave it out"):
        check_arguments(["suites", argument])


def test_arguments_that_choose_cases_are_taken():
    check_arguments(["suites", "-k", "lora", "-n", "4", "--ftcompare-device=cpu", "-v"])


@pytest.mark.parametrize("name", ["conftest.py", "data.tsv", "data.parquet"])
def test_results_depend_on_the_projects_files(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    before = results_key("lock")
    assert results_key("lock") == before != results_key("another lock")
    (tmp_path / name).write_text("1\n")
    assert results_key("lock") != before


def test_results_depend_on_the_data_of_the_projects_tasks(tmp_path, monkeypatch):
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    (tmp_path / "rows.json").write_text("[]")
    Path("pyproject.toml").write_text(
        '[tool.ftcompare.tasks.own]\ntrain = "../rows.json"\nlabels = ["a", "b"]\n'
        'pattern = "{text}"\n'
    )
    before = results_key("lock")
    (tmp_path / "rows.json").write_text("[{}]")
    assert results_key("lock") != before
    (tmp_path / "rows.json").unlink()
    with pytest.raises(TryError, match="there is no such file"):
        results_key("lock")


def test_the_sessions_own_finding_is_no_test(pytest_runs, tmp_path):
    """The plugin reports it as a failed test, which JUnit's format has, too."""
    finding = f'<testcase classname="" name="{SESSION_NODEID}"><failure message="x"/></testcase>'
    finding = finding.replace(f'name="{SESSION_NODEID}"', 'name="session" file="ftcompare"')
    pytest_runs.junit = JUNIT.replace("</testsuite>", f"{finding}</testsuite>")
    found = run_session(Path("python"), ["suites"], tmp_path, "new")
    assert SESSION_NODEID in found.failed_tests
    assert SESSION_NODEID not in found.other_failed_tests


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["suites"]),
        (["-k", "lora", "-n", "2"], ["suites", "-k", "lora", "-n", "2"]),
        (["more", "-k", "lora"], ["more", "-k", "lora"]),
        (["more/test_a.py::test_case[lora-x]"], ["more/test_a.py::test_case[lora-x]"]),
        # The value of -k is no folder, even if a folder has its name.
        (["-k", "more"], ["suites", "-k", "more"]),
    ],
)
def test_arguments_that_name_no_path_choose_from_the_suites(
    tmp_path, monkeypatch, arguments, expected
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "test_a.py").touch()
    assert with_suites(arguments) == arguments
    (tmp_path / "suites").mkdir()
    assert with_suites(arguments) == expected


@pytest.mark.parametrize("option", ["--ftcompare-hub", "--ftcompare-accept", "--ignore", "-c"])
def test_the_value_of_an_option_is_no_path_of_tests(tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suites").mkdir()
    (tmp_path / "here").mkdir()
    assert with_suites([option, "here"])[0] == "suites"
    assert with_suites(["here"]) == ["here"]


def test_options_of_addopts_neither_store_a_history_nor_stop_early(pytester, monkeypatch):
    options = ("--ftcompare-history=runs.db", "-x")
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(options))
    config = pytester.parseconfigure(
        "-p", "pytest_ftcompare.plugin", "--ftcompare-history=", "--maxfail=0"
    )
    settings = make_settings(config)
    assert (settings.history, settings.full) == (None, False)
    assert config.getoption("maxfail") == 0


def test_a_library_on_pythonpath_is_refused_as_both_environments_would_import_it(
    tmp_path, monkeypatch
):
    session._check_python_path.cache_clear()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "helper.py").write_text("")
    python = Path(sys.executable)
    session._check_python_path(python)
    session._check_python_path.cache_clear()
    (tmp_path / "peft.py").write_text("")
    with pytest.raises(TryError, match=rf"PYTHONPATH gives {tmp_path}/peft.py to both"):
        run_session(python, ["suites"], tmp_path / "folder", "new")
    assert not (tmp_path / "folder").exists()
