"""Read a file's rows: text formats with Python's own readers, Arrow tables with `datasets`.

`custom.py` and `hub.py` call `rows`. The cache of `datasets` is not used: it knows a file by path
and time, so it returns old rows for a file that was rewritten with its old time. Its CSV and JSON
readers are not used either: they read the text "NA" as missing and dates as times.
"""

from __future__ import annotations

import bz2
import glob
import gzip
import json
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_ftcompare.tasks.base import DataError
from pytest_ftcompare.tasks.files import delimited
from pytest_ftcompare.tasks.files.find import kind_of
from pytest_ftcompare.tasks.files.format import ENCODING, Format

Row = dict[str, Any]
OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
LFS_POINTER = b"version https://git-lfs"
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
MAGIC = {b"PAR1": ".parquet", b"ARROW1": ".arrow"}


def rows(path: Path, format: Format, *, classes: bool = False) -> Iterator[Row]:
    """Yield the rows of a file, or of a `save_to_disk` folder, in their order.

    With `classes`, a column with class names in the file has the names instead of their indices.
    Raise `DataError` if the file is not what its name says.
    """
    kind = kind_of(path)
    if kind in (".parquet", ".arrow", "saved"):
        yield from _table(path, kind, classes)
    elif kind in (".jsonl", ".ndjson"):
        yield from _json_lines(path, _text(path, format))
    elif kind == ".json":
        yield from _json(path, _text(path, format))
    else:
        yield from delimited.rows(path, _text(path, format), kind, format)


def _text(path: Path, format: Format) -> str:
    """Return the whole text of a file, unpacked, without a byte order mark."""
    first_bytes = _first_bytes(path)
    opener = next(
        (unpack for magic, unpack in OPENERS.items() if first_bytes.startswith(magic)), open
    )
    try:
        with opener(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(
            f"expected a whole compressed file in {path}, it cannot be unpacked ({error})"
        ) from None
    return _decoded(path, content, format.encoding)


def _first_bytes(path: Path) -> bytes:
    """Return the first bytes of a file. Refuse a pointer of Git LFS."""
    with path.open("rb") as file:
        first_bytes = file.read(len(LFS_POINTER))
    if first_bytes == LFS_POINTER:
        raise DataError(
            f"expected rows in {path}, it is a pointer of Git LFS: fetch it with 'git lfs pull'"
        )
    return first_bytes


def _decoded(path: Path, content: bytes, encoding: str | None) -> str:
    marked = next(
        (name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark)), None
    )
    if marked and encoding is None:
        raise DataError(
            f"expected UTF-8 in {path}, it begins as UTF-16 does: "
            f'set format = {{ encoding = "{marked}" }}'
        )
    try:
        text = content.decode(encoding or ENCODING)
    except UnicodeDecodeError as error:
        hint = "" if encoding else ': convert it, or set format = { encoding = "..." }'
        name = encoding or "UTF-8"
        raise DataError(
            f"expected {name} in {path}, the byte at offset {error.start} is not {name}{hint}"
        ) from None
    return text.removeprefix("\ufeff")


class _DuplicateKeyError(ValueError):
    """A key that an object has twice."""


def _object(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise _DuplicateKeyError(
            f"has the key {next(name for name in names if names.count(name) > 1)!r} twice"
        )
    return row


def _parse(text: str) -> Any:
    """Return the value of a JSON text; raise `ValueError` if it is none that Python can hold."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _first_doubled(text: str) -> int:
    """Return the number of the first element of a JSON list that has an object with a key twice."""
    decoder = json.JSONDecoder(object_pairs_hook=_object)
    position, number = text.index("[") + 1, 0
    while True:
        number += 1
        # The text is JSON up to that object.
        while text[position] in " \t\r\n,":
            position += 1
        try:
            _, position = decoder.raw_decode(text, position)
        except _DuplicateKeyError:
            return number


def _json_lines(path: Path, text: str) -> Iterator[Row]:
    """Yield the object of each line; skip blank lines."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = _parse(line)
        except _DuplicateKeyError as error:
            raise DataError(f"expected each key once in {path}, line {number} {error}") from None
        except ValueError as error:
            raise DataError(
                f"expected one JSON object a line in {path}, "
                f"line {number} is not JSON ({_first_line(error)})"
            ) from None
        if not isinstance(row, dict):
            raise DataError(
                f"expected a JSON object in {path}, line {number} has {type(row).__name__}"
            )
        yield row


def _json(path: Path, text: str) -> Iterator[Row]:
    """Yield the objects of a list, or of lines."""
    if not text.lstrip().startswith("["):
        yield from _json_lines(path, text)
        return
    try:
        objects = _parse(text)
    except _DuplicateKeyError as error:
        raise DataError(
            f"expected each key once in {path}, element {_first_doubled(text)} {error}"
        ) from None
    except ValueError as error:
        raise DataError(
            f"expected a JSON list of objects in {path}, it is none ({_first_line(error)})"
        ) from None
    for number, row in enumerate(objects, start=1):
        if not isinstance(row, dict):
            raise DataError(
                f"expected a JSON list of objects in {path}, "
                f"element {number} is {type(row).__name__}"
            )
        yield row


def _table(path: Path, kind: str, classes: bool) -> Iterator[Row]:
    """Yield the rows of an Arrow table, streamed so that no cache keeps a copy."""
    from datasets import ClassLabel, load_dataset, load_from_disk

    if kind != "saved":
        _check_magic(path, kind)
    try:
        if kind == "saved":
            # A format hides columns, or gives numbers that are not Python's.
            table = load_from_disk(str(path)).with_format(None)
        else:
            # `datasets` takes a name for a pattern.
            table = load_dataset(
                kind[1:], data_files=glob.escape(str(path)), split="train", streaming=True
            )
        features = table.features or {}
        class_names = {
            column: feature.names
            for column, feature in features.items()
            if classes and isinstance(feature, ClassLabel)
        }
        for row in table:
            yield row | {
                column: _class_name(row[column], names) for column, names in class_names.items()
            }
    except (OSError, ValueError) as error:
        raise DataError(
            f"expected a whole table in {path}, it cannot be read ({_first_line(error)})"
        ) from None


def _check_magic(path: Path, kind: str) -> None:
    """Refuse a file with another format than its name's; a library's own error is obscure."""
    first_bytes = _first_bytes(path)
    actual = next((name for magic, name in MAGIC.items() if first_bytes.startswith(magic)), "")
    if (kind == ".parquet" or actual) and actual != kind:
        raise DataError(
            f"expected a {kind} file in {path}, its content is {actual or 'none'}: "
            "name it by what it is"
        )


def _class_name(value: Any, names: list[str]) -> Any:
    """Return the class name of an index; `Labels` later refuses any other value with its row."""
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
