"""A killed run keeps its finished cases, and --ftcompare-resume continues it."""

import sqlite3

import pytest
from recorded import RecordedSuite

PLUGIN = ("-p", "pytest_ftcompare.plugin")
KILLED = """
import os, signal
from pathlib import Path

import pytest_ftcompare.plugin.gate_fixture as cases

run_case = cases.run_case

def counted(case, *others):
    with Path("trained.txt").open("a") as file:
        print(case.method, file=file)
    return run_case(case, *others)

cases.run_case = counted

def pytest_runtest_logfinish(nodeid):
    if "full" in nodeid and "KILL" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def run(pytester):
    """A suite of two cases that train nothing."""
    run = RecordedSuite(pytester)
    run.suite(methods=("full", "icl"))
    return run


def extend_conftest(pytester, text):
    """Add code to the folder's conftest.py."""
    file = pytester.path / "conftest.py"
    file.write_text(f"{file.read_text()}\n{text}")


def trained(pytester):
    return sorted((pytester.path / "trained.txt").read_text().split())


@pytest.mark.parametrize(
    "workers",
    [(), ("-n2", "--ftcompare-threads=0")],
    ids=["without xdist", "n2 that share the cores"],
)
def test_a_killed_run_is_continued(pytester, run, monkeypatch, workers):
    run.update("-p", "no:cacheprovider")
    extend_conftest(pytester, KILLED)
    plugin = (*PLUGIN, *workers)
    monkeypatch.setenv("KILL", "1")
    assert pytester.runpytest_subprocess(*plugin).ret == -9
    monkeypatch.delenv("KILL")
    assert "full" in trained(pytester)

    result = pytester.runpytest_subprocess(*plugin, "--ftcompare-resume")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["ftcompare: resumes the run of *, which finished *", "*2 cases: 2 same.*"]
    )
    assert trained(pytester).count("full") == 1

    result = pytester.runpytest_subprocess(*plugin, "--ftcompare-resume", "-k", "full")
    result.stdout.fnmatch_lines(["ftcompare: no run left anything to resume: all cases run"])
    assert trained(pytester).count("full") == 2


def test_a_resumed_run_is_in_the_history_once(pytester, run):
    plugin = (*PLUGIN, "--ftcompare-history=history.db")
    result = pytester.runpytest_subprocess(*plugin, "-x")  # the first is new, and fails
    result.stdout.fnmatch_lines(
        ["history *: nothing added, because --ftcompare-resume can continue this run."]
    )
    pytester.runpytest_subprocess(*plugin, "--ftcompare-resume").stdout.fnmatch_lines(
        ["history *: this run added."]
    )
    with sqlite3.connect(pytester.path / "history.db") as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM results").fetchone() == (2,)


def test_an_interrupted_run_names_the_option_to_continue(pytester, run):
    extend_conftest(pytester, "def pytest_runtest_logfinish(nodeid): raise KeyboardInterrupt")
    result = pytester.runpytest_subprocess(*PLUGIN)
    result.stdout.fnmatch_lines(["1 case finished: continue with --ftcompare-resume."])


def test_resuming_without_pytests_cache_is_refused_in_one_sentence(shell):
    result = shell.run("--ftcompare-resume")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --ftcompare-resume: expected pytest's cache*"])
