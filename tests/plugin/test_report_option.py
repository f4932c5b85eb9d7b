"""--ftcompare-report and --ftcompare-history: checked before training, complete at the end."""

import json
import sqlite3

import pytest

TRAINED = "def pytest_runtest_setup(item): raise AssertionError('a case began')"


@pytest.fixture(autouse=True)
def not_on_github(monkeypatch):
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (
            "--ftcompare-report=run.pdf",
            "expected a file that ends in one of .html, .md, .json, got 'run.pdf'",
        ),
        (
            "--ftcompare-report=folder.html",
            "expected a file, *folder.html is a folder: name a file in it",
        ),
        (
            "--ftcompare-report=file/run.html",
            "run.html cannot be written (*): make its folder writable, or name another",
        ),
        ("--ftcompare-history=half.db", "--ftcompare-history: *half.db*"),
        (
            "--ftcompare-history=file/runs.db",
            "--ftcompare-history: expected a folder for the history at */file, found none: *",
        ),
    ],
)
def test_a_file_that_cannot_be_written_is_an_error_before_training(shell, option, sentence):
    (shell.pytester.path / "folder.html").mkdir()
    (shell.pytester.path / "file").write_text("no folder")
    (shell.pytester.path / "half.db").write_bytes(b"SQLite format 3\x00" + b"\x10\x00" * 20)
    shell.pytester.makeconftest(TRAINED)
    result = shell.run(option)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: *{sentence}"])
    assert result.stdout.str().strip() == ""


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["without xdist", "n1"])
def test_all_reports_of_a_session_are_of_one_document(shell, workers, monkeypatch):
    summary = shell.pytester.path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    shell.suite(methods=("icl",))
    names = ("run.json", "deep/run.md", "run.html")
    result = shell.run(
        *workers, *(f"--ftcompare-report={name}" for name in names), "--ftcompare-history=runs.db"
    )
    document, text, page = ((shell.pytester.path / name).read_text() for name in names)
    assert json.loads(document)["cases"][0]["verdict"] == "new"
    assert [len(rows) for rows in json.loads(document)["history"].values()] == [1, 1]
    assert "icl-pocket_sst-opt-0.4m-n2" in text
    assert "icl-pocket_sst-opt-0.4m-n2" in page
    assert summary.read_text() == f"before\n{text}"
    result.stdout.fnmatch_lines(
        [
            "*history *runs.db: this run added.*",
            "*report *run.html*",
            "::error file=test_quick.py*new*",
        ]
    )
    with sqlite3.connect(shell.pytester.path / "runs.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_session_without_cases_has_an_empty_report_and_adds_nothing_to_a_history(shell):
    shell.pytester.makepyfile(test_quick="def test_other(): pass")
    result = shell.run("--ftcompare-report=run.json", "--ftcompare-history=runs.db")
    assert result.ret == 0
    assert json.loads((shell.pytester.path / "run.json").read_text())["cases"] == []
    assert not (shell.pytester.path / "runs.db").exists()


@pytest.mark.parametrize(
    ("test", "sentence"),
    [
        (
            "def test_other(): assert False",
            "tests other than cases failed: see pytest's output",
        ),
        (
            "def test_other(): raise KeyboardInterrupt",
            "pytest stopped early: not all cases ran",
        ),
        ("import nowhere", "not all files could be collected: see pytest's output"),
    ],
)
def test_a_report_never_says_passed_if_pytest_failed(shell, test, sentence):
    shell.pytester.makepyfile(test_quick=test)
    shell.pytester.runpytest_subprocess(
        "-p", "pytest_ftcompare.plugin", "--ftcompare-report=run.json"
    )
    document = json.loads((shell.pytester.path / "run.json").read_text())
    assert (document["failed"], document["findings"]) == (True, [sentence])


def test_an_exit_status_of_a_test_loses_no_report(shell):
    shell.pytester.makepyfile(
        test_quick="import pytest\ndef test_other(): pytest.exit('enough', returncode=42)"
    )
    result = shell.pytester.runpytest_subprocess(
        "-p", "pytest_ftcompare.plugin", "--ftcompare-report=run.json"
    )
    assert result.ret == 42
    assert json.loads((shell.pytester.path / "run.json").read_text())["failed"]


def test_a_case_that_runs_twice_is_reported_once(shell):
    shell.pytester.makeconftest(
        "def pytest_runtest_protocol(item, nextitem):\n"
        "    from _pytest.runner import runtestprotocol\n"
        "    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)\n"
        "    runtestprotocol(item, nextitem=item)\n"
        "    runtestprotocol(item, nextitem=nextitem)\n"
        "    return True\n"
    )
    shell.suite(methods=("icl",))
    shell.run("--ftcompare-report=run.json", "--ftcompare-history=runs.db").stdout.fnmatch_lines(
        ["*this run added.*"]
    )
    assert len(json.loads((shell.pytester.path / "run.json").read_text())["cases"]) == 1


def test_a_report_that_fails_at_the_end_fails_the_session_but_no_other_report(shell):
    shell.pytester.makepyfile(
        test_quick="def test_other():\n    import pathlib\n    pathlib.Path('gone.md').mkdir()"
    )
    result = shell.run("--ftcompare-report=gone.md", "--ftcompare-report=run.json")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["the report *gone.md could not be written (Is a directory)", "report *run.json"]
    )
