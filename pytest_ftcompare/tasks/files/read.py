"""The rows of a file by its format: text formats by Python's own readers, tables of Arrow by
`datasets`, without its cache.

The cache of `datasets` knows a file by its path and time, and gives old rows for a file that was
rewritten with its old time; its CSV and JSON readers take the text "NA" as missing and dates as
times.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_ftcompare.tasks.base import DataError
from pytest_ftcompare.tasks.files import delimited
from pytest_ftcompare.tasks.files.find import kind_of
from pytest_ftcompare.tasks.files.format import ENCODING, Format

Row = dict[str, Any]
OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
LFS = b"version https://git-lfs"
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # of text that is not UTF-8
MAGIC = {b"PAR1": ".parquet", b"ARROW1": ".arrow"}


def rows(path: Path, format: Format, *, classes: bool = False) -> Iterator[Row]:
    """The rows of a file, or of a folder of `save_to_disk`, in their order; `DataError` where it is
    not what its name says.

    With `classes`, a column whose file names its classes has these names in the place of their
    numbers.
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
    """The whole text of a file, unpacked, without a byte order mark."""
    begin = _begin(path)
    opener = next((unpack for magic, unpack in OPENERS.items() if begin.startswith(magic)), open)
    try:
        with opener(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise DataError(
            f"expected a whole compressed file in {path}, it cannot be unpacked ({error})"
        ) from None
    return _decoded(path, content, format.encoding)


def _begin(path: Path) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        begin = file.read(len(LFS))
    if begin == LFS:
        raise DataError(
            f"expected rows in {path}, it is a pointer of Git LFS: fetch it with 'git lfs pull'"
        )
    return begin


def _decoded(path: Path, content: bytes, encoding: str | None) -> str:
    marked = next((name for mark, name in MARKS.items() if content.startswith(mark)), None)
    if marked and encoding is None:
        raise DataError(
            f'expected UTF-8 in {path}, it begins as UTF-16 does: say format = {{ encoding = "{marked}" }}'
        )
    try:
        text = content.decode(encoding or ENCODING)
    except UnicodeDecodeError as error:
        hint = "" if encoding else ': convert it, or say format = { encoding = "..." }'
        name = encoding or "UTF-8"
        raise DataError(
            f"expected {name} in {path}, found a byte that is not at offset {error.start}{hint}"
        ) from None
    return text.removeprefix("\ufeff")


class _DoubledError(ValueError):
    """A key that an object has twice."""


def _object(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise _DoubledError(
            f"has the key {next(name for name in names if names.count(name) > 1)!r} twice"
        )
    return row


def _json_lines(path: Path, text: str) -> Iterator[Row]:
    """Blank lines are passed over."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except json.JSONDecodeError as error:
            raise DataError(
                f"expected one JSON object a line in {path}, line {number} is not JSON ({error})"
            ) from None
        except _DoubledError as error:
            raise DataError(f"expected each key once in {path}, line {number} {error}") from None
        if not isinstance(row, dict):
            raise DataError(
                f"expected a JSON object in {path}, line {number} has {type(row).__name__}"
            )
        yield row


def _json(path: Path, text: str) -> Iterator[Row]:
    """A list of objects, or objects in lines."""
    if not text.lstrip().startswith("["):
        yield from _json_lines(path, text)
        return
    try:
        listed = json.loads(text, object_pairs_hook=_object)
    except (json.JSONDecodeError, _DoubledError) as error:
        raise DataError(
            f"expected a JSON list of objects in {path}, it is none ({error})"
        ) from None
    for number, row in enumerate(listed, start=1):
        if not isinstance(row, dict):
            raise DataError(
                f"expected a JSON list of objects in {path}, element {number} is {type(row).__name__}"
            )
        yield row


def _table(path: Path, kind: str, classes: bool) -> Iterator[Row]:
    """A table of Arrow, read where it lies: streamed, so that no cache has a copy of it."""
    from datasets import ClassLabel, load_dataset, load_from_disk

    if kind != "saved":
        _check_magic(path, kind)
    try:
        if kind == "saved":
            table = load_from_disk(str(path))
        else:
            table = load_dataset(kind[1:], data_files=str(path), split="train", streaming=True)
        known = table.features or {}
        names = {
            name: kind.names
            for name, kind in known.items()
            if classes and isinstance(kind, ClassLabel)
        }
        for row in table:
            yield row | {name: _name(row[name], of) for name, of in names.items()}
    except (OSError, ValueError) as error:
        raise DataError(
            f"expected a whole table in {path}, it cannot be read ({_first_line(error)})"
        ) from None


def _check_magic(path: Path, kind: str) -> None:
    """Refuse a file that is not of the format that its name says, before a library speaks of
    footers."""
    begin = _begin(path)
    real = next((name for magic, name in MAGIC.items() if begin.startswith(magic)), "")
    if (kind == ".parquet" or real) and real != kind:
        raise DataError(
            f"expected a {kind} file in {path}, its content is {real or 'none'}: name it by what it is"
        )


def _name(value: Any, names: list[str]) -> Any:
    """The class that a number stands for; what is none stays, and is refused with its row."""
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
