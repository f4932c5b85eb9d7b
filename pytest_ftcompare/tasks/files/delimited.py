"""CSV and TSV: rows under a line of column names, in the dialect that the file itself shows, or
that its task says.

A line ends with LF or CR LF; another CR is text, except in a file without any LF. Where a file
reads well in two ways that differ, as with quotes that may be text, it is refused.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_ftcompare.tasks.base import DataError
from pytest_ftcompare.tasks.files.format import Format

DELIMITERS = {".csv": (",", ";", "\t", "|"), ".tsv": ("\t",)}
QUOTE = '"'
NAMES = {"\t": "\\t"}  # as TOML writes it
CARRIAGE_RETURN = (
    "\ue00d"  # stands for a CR within a text while the csv module reads, which ends lines there
)
Lines = list[tuple[int, list[str]]]  # of each row the number of its last line, and its fields


@dataclass(frozen=True)
class _Dialect:
    delimiter: str
    quote: str  # "" where quotes are text
    escape: str | None

    def __str__(self) -> str:
        said = f'delimiter = "{NAMES.get(self.delimiter, self.delimiter)}"'
        return f"format = {{ {said}, quote = '{self.quote}' }}"


class _UnfitError(ValueError):
    """The text is not of that dialect; the message says where."""


def rows(path: Path, text: str, kind: str, format: Format) -> Iterator[dict[str, str]]:
    """The rows of a file's text. Blank lines are passed over; a header's names lose white space
    around them."""
    csv.field_size_limit(sys.maxsize)  # a text may be longer than the module expects
    if "\n" not in text:
        text = text.replace("\r", "\n")
    if "\0" in text:
        raise DataError(
            f'expected text in {path}, found NUL: if it is UTF-16, say format = {{ encoding = "utf-16" }}'
        )
    if CARRIAGE_RETURN in text:
        raise DataError(
            f"expected no character U+E00D in {path}: it is of private use, take it out"
        )
    lines = _lines(path, text, kind, format)
    if not lines:
        return
    _, header = lines[0]
    names = [name.strip() for name in header]
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise DataError(
            f"expected each column once in {path}, {doubled!r} is there twice: rename one"
        )
    for _, fields in lines[1:]:
        yield dict(zip(names, fields, strict=True))


def _lines(path: Path, text: str, kind: str, format: Format) -> Lines:
    """The rows by the one delimiter that fits: the header has it, and by it every row has the
    header's columns."""
    if (
        kind == ".csv" and not format.delimiter and (said := re.match(r"sep=(.)\r?\n", text))
    ):  # as Excel writes it
        delimiters, text = [said[1]], text[said.end() :]
    elif format.delimiter:
        delimiters = [format.delimiter]
    else:
        header = text.lstrip("\r\n").partition("\n")[0]
        delimiters = [character for character in DELIMITERS[kind] if character in header] or [
            DELIMITERS[kind][0]
        ]
    fitting: dict[str, Lines] = {}
    unfit: list[_UnfitError] = []
    for delimiter in delimiters:
        try:
            lines = _unquoted_or_quoted(path, text, delimiter, kind, format)
        except _UnfitError as error:
            unfit.append(error)
        else:
            fitting[delimiter] = lines
    several = {
        delimiter: lines for delimiter, lines in fitting.items() if lines and len(lines[0][1]) > 1
    }
    if len(several) > 1:
        first = NAMES.get(delimiters[0], delimiters[0])
        raise DataError(
            f"expected a table in {path}, columns may be parted by {' and '.join(map(repr, several))}: "
            f'say which, as format = {{ delimiter = "{first}" }}'
        )
    if not several and unfit:
        raise DataError(f"expected a table in {path}: {unfit[0]}")
    return next(iter((several or fitting).values()))


def _unquoted_or_quoted(path: Path, text: str, delimiter: str, kind: str, format: Format) -> Lines:
    """The rows by a delimiter; whether quotes are text or enclose it, the format or the content
    says."""
    enclosing = _Dialect(delimiter, format.quote or QUOTE, format.escape)
    plain = _Dialect(delimiter, "", None)
    if format.quote is not None or kind == ".csv" or format.escape:
        return _read(text, plain if format.quote == "" else enclosing)
    if QUOTE not in text:
        return _read(text, plain)
    try:
        quoted = _read(text, enclosing)
    except _UnfitError:
        return _read(text, plain)
    try:
        as_text = _read(text, plain)
    except _UnfitError:
        return quoted
    if [fields for _, fields in quoted] == [fields for _, fields in as_text] or _rewritten(
        text, quoted, enclosing
    ):
        return quoted
    return _by_evidence(path, quoted, as_text, (enclosing, plain))


def _rewritten(text: str, rows: Lines, dialect: _Dialect) -> bool:
    """Whether a writer that encloses what needs it, or all, would write these rows as this text."""
    plain = text.replace("\r\n", "\n").strip("\n")
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        file = io.StringIO()
        writer = csv.writer(
            file,
            delimiter=dialect.delimiter,
            quotechar=dialect.quote,
            quoting=quoting,
            lineterminator="\n",
        )
        writer.writerows(fields for _, fields in rows)
        if file.getvalue().replace("\r\n", "\n").strip("\n") == plain:
            return True
    return False


def _by_evidence(
    path: Path, quoted: Lines, as_text: Lines, dialects: tuple[_Dialect, _Dialect]
) -> Lines:
    """The reading that whoever wrote the file meant. A writer that encloses fields doubles the
    quotes in them, and leaves no field with a quote unenclosed; refused where neither is to be
    seen."""
    fields = [(number, field) for number, row in as_text for field in row if QUOTE in field]
    enclosed = [(number, field) for number, field in fields if field.startswith(QUOTE)]
    doubled = any(QUOTE * 2 in field[1:-1] for _, field in enclosed)
    bare = len(enclosed) < len(fields)
    if bare != doubled:
        return as_text if bare else quoted
    number, field = enclosed[0]
    raise DataError(
        f"expected to know in {path} whether quotes enclose a text or belong to it, line {number} has {field[:60]}: "
        f"say {dialects[0]} or {dialects[1]}"
    )


def _read(text: str, dialect: _Dialect) -> Lines:
    """The rows in a dialect, the header first; `_UnfitError` where their fields are not as many as
    the header's."""
    lines: Lines = []
    for number, fields in _enclosed(text, dialect) if dialect.quote else _split(text, dialect):
        if not any(field.strip() for field in fields):
            continue
        if lines and len(fields) != len(lines[0][1]):
            expected = len(lines[0][1])
            raise _UnfitError(
                f"its header has {expected} columns, line {number} has another number, {len(fields)}"
            )
        lines.append((number, fields))
    return lines


def _split(text: str, dialect: _Dialect) -> Iterator[tuple[int, list[str]]]:
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    spaced = _spaced(lines, dialect.delimiter)
    for number, line in enumerate(lines, start=1):
        fields = line.split(dialect.delimiter)
        yield (
            number,
            [fields[0], *(field.removeprefix(" ") for field in fields[1:])] if spaced else fields,
        )


def _enclosed(text: str, dialect: _Dialect) -> Iterator[tuple[int, list[str]]]:
    text = re.sub("\r(?!\n)", CARRIAGE_RETURN, text)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        escapechar=dialect.escape,
        doublequote=dialect.escape is None,
        skipinitialspace=_spaced(text.split("\n", 1), dialect.delimiter),
        strict=True,
    )
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            escape = (
                ""
                if dialect.escape
                else r", or say format = { escape = '\' } where quotes are escaped so"
            )
            raise _UnfitError(
                f"line {reader.line_num} has a quote where none can be ({error}): double the quotes within a text{escape}"
            ) from None
        yield reader.line_num, [field.replace(CARRIAGE_RETURN, "\r") for field in fields]


def _spaced(lines: list[str], delimiter: str) -> bool:
    """Whether a blank follows each delimiter of the header, and so belongs to the delimiter."""
    _, *others = next((line for line in lines if line.strip()), "").split(delimiter)
    return bool(others) and delimiter != " " and all(name.startswith(" ") for name in others)
