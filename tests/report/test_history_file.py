"""Test unreadable and unwritable histories: one sentence each, and the file unchanged."""

import os
import sqlite3
from pathlib import Path

import pytest
from documents import make_document

from pytest_ftcompare.report.history import HistoryError, append, check, earlier_runs
from pytest_ftcompare.report.history.database import check as checked
from pytest_ftcompare.report.history.database import reading, writing
from pytest_ftcompare.report.history.schema import SCHEMA_VERSION


@pytest.fixture
def path(tmp_path):
    """Write a history of one run."""
    append(tmp_path / "h.db", make_document(30))
    return tmp_path / "h.db"


def assert_refused(path, pattern):
    """Check that all three raise this message and leave the file unchanged."""
    before = path.read_bytes() if path.is_file() else None
    for ask in (
        check,
        lambda one: append(one, make_document(2, seed=7)),
        lambda one: earlier_runs(one, make_document(1)),
    ):
        with pytest.raises(HistoryError, match=pattern) as found:
            ask(path)
        assert "\n" not in str(found.value)
        assert str(path) in str(found.value) or str(path.parent) in str(found.value)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "h.db").write_text("accuracy,0.5\n" * 1000)
    assert_refused(tmp_path / "h.db", "found another kind of file: name another file$")


@pytest.mark.parametrize("left", [0.5, 0.9])
def test_a_truncated_file_is_refused(path, left):
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content))])
    assert_refused(path, "is damaged or truncated: restore a copy, or name another file$")


def test_another_programs_database_is_refused(tmp_path):
    connection = sqlite3.connect(tmp_path / "h.db")
    connection.execute("CREATE TABLE theirs (one)")
    connection.close()
    assert_refused(tmp_path / "h.db", "found another program's SQLite database: name another file$")


def test_a_newer_schema_is_refused(path):
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    assert_refused(
        path,
        f"expected a history of schema {SCHEMA_VERSION} at .*, "
        f"found schema {SCHEMA_VERSION + 1}: update pytest-ftcompare$",
    )


def test_a_folder_and_a_missing_folder_are_refused(tmp_path):
    assert_refused(tmp_path, "found a folder: name a file in it$")
    with pytest.raises(
        HistoryError, match=r"expected a folder for the history at .*none, found none: make it"
    ):
        check(tmp_path / "none" / "h.db")
    with pytest.raises(
        HistoryError, match=r"expected a folder for the history at .*none, found none: make it"
    ):
        append(tmp_path / "none" / "h.db", make_document(1))


@pytest.mark.skipif(
    not Path("/proc/self").is_dir(), reason="a folder in which nobody may write, on Linux"
)
def test_an_unwritable_folder_is_refused():
    for ask in (check, lambda path: append(path, make_document(1))):
        with pytest.raises(
            HistoryError,
            match=r"the history /proc/h.db cannot be written .*: name a file in a folder that",
        ):
            ask(Path("/proc/h.db"))


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="to root every file can be written"
)
def test_an_unwritable_file_is_refused(path):
    path.chmod(0o444)
    with pytest.raises(HistoryError, match=r"cannot be written \(permission denied\)"):
        check(path)
    assert earlier_runs(path, make_document(1))["runs"]  # but read


def test_a_locked_history_is_refused(path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    locked = (
        f"the history {path} is locked by another process: "
        "wait until that process has ended, then try again"
    )
    with pytest.raises(HistoryError) as found:
        checked(path, timeout=0.01)
    assert str(found.value) == locked
    with pytest.raises(HistoryError) as found, writing(path, timeout=0.01):
        pass
    assert str(found.value) == locked
    assert earlier_runs(path, make_document(1))["runs"]  # nothing is being written yet
    other.execute("COMMIT")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(HistoryError) as found, reading(path, timeout=0.01):
        pass
    assert str(found.value) == locked
    other.close()
    check(path)


def test_a_check_leaves_no_trace(path, tmp_path):
    before = path.read_bytes(), path.stat().st_mtime_ns
    check(path)
    check(tmp_path / "new.db")
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [one.name for one in tmp_path.iterdir()] == ["h.db"]


def test_an_empty_file_becomes_a_history(tmp_path):
    path = tmp_path / "h.db"
    path.touch()
    check(path)
    assert path.read_bytes() == b""
    with pytest.raises(HistoryError, match="found an empty file: no run was appended to it yet"):
        earlier_runs(path, make_document(1))
    append(path, make_document(1))
    assert len(earlier_runs(path, make_document(1))["runs"]) == 1


def test_a_path_may_have_characters_of_a_uri(tmp_path):
    path = tmp_path / "a?b#c %41.db"
    append(path, make_document(1))
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "where", ["\"case\" = 'a' AND metric = 'accuracy'", "method = 'lora' AND metric = 'accuracy'"]
)
def test_a_series_is_found_without_reading_the_others(path, where):
    connection = sqlite3.connect(path)
    plan = [
        row[3]
        for row in connection.execute(
            f"EXPLAIN QUERY PLAN SELECT started, value FROM history WHERE {where}"
        )
    ]
    connection.close()
    assert "SEARCH points USING PRIMARY KEY (case_id=? AND metric_id=?)" in plan
    assert not [step for step in plan if step.startswith("SCAN")]
