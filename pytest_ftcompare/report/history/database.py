"""Open the history's SQLite file, and state in one sentence what is wrong with it.

The file uses SQLite's rollback journal. A write-ahead log cannot be shared over a network and
leaves two more files beside the history.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_ftcompare.report.history.schema import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    SPENT_TABLE,
    TABLES,
)

# Seconds to wait for another process's lock (chosen; a write takes under a second). Raising it
# waits longer for a process that hangs.
LOCK_TIMEOUT = 60.0


class HistoryError(ValueError):
    """A history cannot be read or written. The message states expected, found, and what to do."""


@contextmanager
def writing(path: Path, timeout: float = LOCK_TIMEOUT) -> Iterator[sqlite3.Connection]:
    """Open a write transaction, and create the history if it does not exist.

    The transaction is committed at the end, or rolled back on any exception. Raises
    `HistoryError` and leaves the file unchanged.
    """
    _check_place(path)
    with _errors_explained(path), _connection(path, "rwc", timeout) as connection:
        # Takes the lock at once, so that writers wait here and none fails halfway.
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _is_empty(path, connection):
                for statement in TABLES.strip().rstrip(";").split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute(SPENT_TABLE)
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


@contextmanager
def reading(path: Path, timeout: float = LOCK_TIMEOUT) -> Iterator[sqlite3.Connection]:
    """Open a read transaction: the history at one moment. Raises `HistoryError`."""
    if not path.exists():
        raise HistoryError(
            f"expected a history at {path}, found nothing there: "
            "name the file given to --ftcompare-history"
        )
    _check_place(path)
    with _errors_explained(path), _connection(path, "rw", timeout) as connection:
        connection.execute("BEGIN")
        if _is_empty(path, connection):
            raise HistoryError(
                f"expected a history at {path}, found an empty file: no run was appended to it yet"
            )
        yield connection


def check(path: Path, timeout: float = 10.0) -> None:
    """Raise `HistoryError` if a run could not be appended. Changes nothing."""
    _check_place(path)
    if not path.exists():
        try:
            with tempfile.TemporaryFile(dir=path.parent):
                return
        except OSError as error:
            raise _unwritable(path, error.strerror or str(error)) from None
    with _errors_explained(path), _connection(path, "rw", timeout) as connection:
        connection.execute("BEGIN IMMEDIATE")
        _is_empty(path, connection)
        # A write creates the journal, which also needs a writable folder.
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.rollback()


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise HistoryError(
            f"expected a file for the history at {path}, found a folder: name a file in it"
        )
    if not path.parent.is_dir():
        raise HistoryError(
            f"expected a folder for the history at {path.parent}, found none: "
            "make it or name another file"
        )


@contextmanager
def _connection(path: Path, mode: str, timeout: float) -> Iterator[sqlite3.Connection]:
    # Only a URI can open without creating a file. No isolation level, because the callers begin
    # their transactions.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", timeout=timeout, uri=True, isolation_level=None
    )
    try:
        yield connection
    finally:
        connection.close()


def _is_empty(path: Path, connection: sqlite3.Connection) -> bool:
    """Return whether the file is empty. Raises `HistoryError` if it is not a history."""
    (application,), (schema,) = (
        connection.execute(f"PRAGMA {name}").fetchone()
        for name in ("application_id", "user_version")
    )
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables and not application:
        return True
    if application != APPLICATION_ID:
        raise HistoryError(
            f"expected a history at {path}, found another program's SQLite database: "
            "name another file"
        )
    if schema != SCHEMA_VERSION:
        newer = "update pytest-ftcompare" if schema > SCHEMA_VERSION else "name another file"
        raise HistoryError(
            f"expected a history of schema {SCHEMA_VERSION} at {path}, "
            f"found schema {schema}: {newer}"
        )
    return False


@contextmanager
def _errors_explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into `HistoryError`."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            message = (
                f"the history {path} is locked by another process: "
                "wait until that process has ended, then try again"
            )
        elif name == "SQLITE_NOTADB":
            message = (
                f"expected a history (SQLite) at {path}, found another kind of file: "
                "name another file"
            )
        elif name.startswith("SQLITE_CORRUPT"):
            message = (
                f"the history {path} is damaged or truncated: restore a copy, or name another file"
            )
        elif name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            denied = path.exists() and not os.access(path, os.W_OK)
            raise _unwritable(path, os.strerror(13) if denied else str(error)) from None
        else:
            message = (
                f"the history {path} cannot be used ({error}): check its disk, or name another file"
            )
        raise HistoryError(message) from None


def _unwritable(path: Path, reason: str) -> HistoryError:
    return HistoryError(
        f"the history {path} cannot be written ({reason.lower()}): "
        "name a file in a folder that can be written"
    )
