"""The history's file: one SQLite database, opened safely; what is wrong with a file in one sentence.

Written with SQLite's rollback journal, not its write-ahead log: that one cannot be shared over a network, and leaves two more
files beside the history.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_ftcompare.report.history.schema import APPLICATION, SCHEMA, SPENT, TABLES

PATIENCE = 60.0  # seconds that a writer waits for others; a run is written in a fraction of one


class HistoryError(ValueError):
    """A history that cannot be read or written; the message says what was expected, what is there, where, and what to do."""


@contextmanager
def writing(path: Path, patience: float = PATIENCE) -> Iterator[sqlite3.Connection]:
    """A transaction on the history, made where there is none yet; written whole when it ends, not at all if it raises.

    Raises `HistoryError`, with the file as it was.
    """
    _check_place(path)
    with _explained(path), _connection(path, "rwc", patience) as connection:
        connection.execute("BEGIN IMMEDIATE")  # others wait for their turn here, none fails halfway
        try:
            if _is_empty(path, connection):
                for statement in TABLES.strip().rstrip(";").split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
            connection.execute(SPENT)
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


@contextmanager
def reading(path: Path, patience: float = PATIENCE) -> Iterator[sqlite3.Connection]:
    """The history, to be read as it is at one moment. Raises `HistoryError`."""
    if not path.exists():
        raise HistoryError(
            f"expected a history at {path}, found nothing there: name the file given to --ftcompare-history"
        )
    _check_place(path)
    with _explained(path), _connection(path, "rw", patience) as connection:
        connection.execute("BEGIN")
        if _is_empty(path, connection):
            raise HistoryError(
                f"expected a history at {path}, found an empty file: no run was appended to it yet"
            )
        yield connection


def check(path: Path, patience: float = 10.0) -> None:
    """Raise `HistoryError` where a run could not be appended: asked before hours of training. Nothing is left changed."""
    _check_place(path)
    if not path.exists():
        try:
            with tempfile.TemporaryFile(dir=path.parent):
                return
        except OSError as error:
            raise _unwritable(path, error.strerror or str(error)) from None
    with _explained(path), _connection(path, "rw", patience) as connection:
        connection.execute("BEGIN IMMEDIATE")
        _is_empty(path, connection)
        connection.execute(
            f"PRAGMA user_version = {SCHEMA}"
        )  # begins the journal, which needs the folder, too
        connection.rollback()


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise HistoryError(
            f"expected a file for the history at {path}, found a folder: name a file in it"
        )
    if not path.parent.is_dir():
        raise HistoryError(
            f"expected a folder for the history at {path.parent}, found none: make it or name another file"
        )


@contextmanager
def _connection(path: Path, mode: str, patience: float) -> Iterator[sqlite3.Connection]:
    # As a URI, since only that opens without making a file; without transactions of Python's own.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", timeout=patience, uri=True, isolation_level=None
    )
    try:
        yield connection
    finally:
        connection.close()


def _is_empty(path: Path, connection: sqlite3.Connection) -> bool:
    """Whether the file holds nothing yet. Raises `HistoryError` where it holds something else than a history of ours."""
    (application,), (schema,) = (
        connection.execute(f"PRAGMA {name}").fetchone()
        for name in ("application_id", "user_version")
    )
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables and not application:
        return True
    if application != APPLICATION:
        raise HistoryError(
            f"expected a history at {path}, found another program's SQLite database: name another file"
        )
    if schema != SCHEMA:
        newer = "update pytest-ftcompare" if schema > SCHEMA else "name another file"
        raise HistoryError(
            f"expected a history of schema {SCHEMA} at {path}, found schema {schema}: {newer}"
        )
    return False


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What SQLite says, as one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            message = f"the history {path} is locked by another process: wait until that one has ended, then try again"
        elif name == "SQLITE_NOTADB":
            message = f"expected a history (SQLite) at {path}, found another kind of file: name another file"
        elif name.startswith("SQLITE_CORRUPT"):
            message = f"the history {path} is damaged, or its end is missing: restore a copy, or name another file"
        elif name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            raise _unwritable(
                path,
                os.strerror(13) if path.exists() and not os.access(path, os.W_OK) else str(error),
            ) from None
        else:
            message = (
                f"the history {path} cannot be used ({error}): check its disk, or name another file"
            )
        raise HistoryError(message) from None


def _unwritable(path: Path, why: str) -> HistoryError:
    return HistoryError(
        f"the history {path} cannot be written ({why.lower()}): name a file in a folder that can be written"
    )
