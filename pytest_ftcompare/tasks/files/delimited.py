"""Read CSV and TSV: rows under a header line, in the dialect of the file or of its task's `format`.

`read.py` calls `rows`. A line ends with LF or CR LF; another CR is text, except in a file without
any LF. A file that can be read in two ways is refused, for example if its quotes may be text.
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
TOML_ESCAPES = {"\t": "\\t"}
# Replaces a CR within a text while the csv module reads: the module would end a line there.
CARRIAGE_RETURN = "\ue00d"
Lines = list[tuple[int, list[str]]]  # for each row, the number of its last line and its fields


@dataclass(frozen=True)
class _Dialect:
    delimiter: str
    quote: str  # "": quotes are text
    escape: str | None

    def __str__(self) -> str:
        delimiter = f'delimiter = "{TOML_ESCAPES.get(self.delimiter, self.delimiter)}"'
        return f"format = {{ {delimiter}, quote = '{self.quote}' }}"


class _UnfitError(ValueError):
    """A text that is not of a dialect; the message says where."""


def rows(path: Path, text: str, kind: str, format: Format) -> Iterator[dict[str, str]]:
    """Yield the rows of a file's text. Skip blank lines, and strip the header's names.

    Raise `DataError` if the text is no table or can be read in two ways.
    """
    # A text may be longer than the module's default limit.
    csv.field_size_limit(sys.maxsize)
    if "\n" not in text:
        text = text.replace("\r", "\n")
    if "\0" in text:
        raise DataError(
            f"expected text in {path}, found NUL: "
            'if it is UTF-16, set format = { encoding = "utf-16" }'
        )
    if CARRIAGE_RETURN in text:
        raise DataError(f"expected no character U+E00D in {path}: it is of private use, remove it")
    lines = _rows_by_delimiter(path, text, kind, format)
    if not lines:
        return
    _, header = lines[0]
    names = [name.strip() for name in header]
    if duplicate := next((name for name in names if names.count(name) > 1), None):
        raise DataError(
            f"expected each column once in {path}, {duplicate!r} is there twice: rename one"
        )
    for _, fields in lines[1:]:
        yield dict(zip(names, fields, strict=True))


def _rows_by_delimiter(path: Path, text: str, kind: str, format: Format) -> Lines:
    """Return the rows by the only delimiter that fits.

    A delimiter fits if the header has it and it gives each row as many fields as the header.
    """
    # Excel may write the delimiter as a first line `sep=;`.
    if kind == ".csv" and not format.delimiter and (match := re.match(r"sep=(.)\r?\n", text)):
        delimiters, text = [match[1]], text[match.end() :]
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
            lines = _unquoted_or_quoted(path, text, delimiter, format)
        except _UnfitError as error:
            unfit.append(error)
        else:
            fitting[delimiter] = lines
    several = {
        delimiter: lines for delimiter, lines in fitting.items() if lines and len(lines[0][1]) > 1
    }
    if len(several) > 1:
        first = TOML_ESCAPES.get(delimiters[0], delimiters[0])
        raise DataError(
            f"expected a table in {path}, columns may be separated by "
            f"{' and '.join(map(repr, several))}: "
            f'set one, such as format = {{ delimiter = "{first}" }}'
        )
    if not several and unfit:
        raise DataError(f"expected a table in {path}: {unfit[0]}")
    return next(iter((several or fitting).values()))


def _unquoted_or_quoted(path: Path, text: str, delimiter: str, format: Format) -> Lines:
    """Return the rows by a delimiter; the format or the content decides whether quotes are text."""
    enclosing = _Dialect(delimiter, format.quote or QUOTE, format.escape)
    plain = _Dialect(delimiter, "", None)
    if format.quote is not None or delimiter != "\t" or format.escape:
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
    rows = [fields for _, fields in quoted]
    if rows == [fields for _, fields in as_text]:
        return quoted
    is_round_trip = _is_round_trip(text, quoted, enclosing)
    # Quotes around a line end leave fewer rows. Then quotes must show elsewhere that they enclose.
    _, header = as_text[0]
    encloses = all(name.startswith(QUOTE) for name in header) or any(
        QUOTE in field for fields in rows for field in fields
    )
    texts = [fields for _, fields in as_text if any(field.strip(f" {QUOTE}") for field in fields)]
    if len(quoted) != len(texts) and not (is_round_trip and encloses):
        raise _ambiguous_quotes(path, as_text, (enclosing, plain))
    if is_round_trip:
        return quoted
    return _resolve_quotes(path, quoted, as_text, (enclosing, plain))


def _is_round_trip(text: str, rows: Lines, dialect: _Dialect) -> bool:
    """Return whether a csv writer, quoting minimally or all fields, writes the rows as the text."""
    expected = text.replace("\r\n", "\n").strip("\n")
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
        if file.getvalue().replace("\r\n", "\n").strip("\n") == expected:
            return True
    return False


def _resolve_quotes(
    path: Path, quoted: Lines, as_text: Lines, dialects: tuple[_Dialect, _Dialect]
) -> Lines:
    """Return the rows as the file's writer meant its quotes, or refuse an ambiguous file.

    A writer that encloses fields doubles the quotes in them and encloses every field with a quote.
    """
    fields = [(number, field) for number, row in as_text for field in row if QUOTE in field]
    enclosed = [(number, field) for number, field in fields if field.startswith(QUOTE)]
    doubled = any(QUOTE * 2 in field[1:-1] for _, field in enclosed)
    bare = len(enclosed) < len(fields)
    if bare != doubled:
        return as_text if bare else quoted
    raise _ambiguous_quotes(path, as_text, dialects)


def _ambiguous_quotes(path: Path, as_text: Lines, dialects: tuple[_Dialect, _Dialect]) -> DataError:
    number, field = next(
        (number, field) for number, row in as_text for field in row if field.startswith(QUOTE)
    )
    return DataError(
        f"expected to know in {path} whether quotes enclose a text or belong to it, "
        f"line {number} has {field[:60]}: set {dialects[0]} or {dialects[1]}"
    )


def _read(text: str, dialect: _Dialect) -> Lines:
    """Return the rows in a dialect, the header first.

    Raise `_UnfitError` if a row has not as many fields as the header.
    """
    lines: Lines = []
    for number, fields in (
        _read_quoted(text, dialect) if dialect.quote else _read_unquoted(text, dialect)
    ):
        if not any(field.strip() for field in fields):
            continue
        if lines and len(fields) != len(lines[0][1]):
            expected = len(lines[0][1])
            raise _UnfitError(
                f"its header has {expected} columns, line {number} has another number, "
                f"{len(fields)}"
            )
        lines.append((number, fields))
    return lines


def _read_unquoted(text: str, dialect: _Dialect) -> Iterator[tuple[int, list[str]]]:
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    spaced = _has_spaced_header(lines, dialect.delimiter)
    for number, line in enumerate(lines, start=1):
        fields = line.split(dialect.delimiter)
        yield (
            number,
            [fields[0], *(field.removeprefix(" ") for field in fields[1:])] if spaced else fields,
        )


def _check_escapes(text: str, dialect: _Dialect) -> None:
    """Refuse an escape before another character: the csv module would drop it from the text."""
    if dialect.escape is None:
        return
    escaped = (dialect.escape, dialect.quote, dialect.delimiter, "\n", "\r")
    for match in re.finditer(f"{re.escape(dialect.escape)}(.?)", text, re.DOTALL):
        if match[1] not in escaped:
            line = text.count("\n", 0, match.start()) + 1
            raise _UnfitError(
                f"line {line} has {match[0]!r}, where {dialect.escape} escapes nothing: "
                "double it in the file, or set no escape"
            )


def _read_quoted(text: str, dialect: _Dialect) -> Iterator[tuple[int, list[str]]]:
    _check_escapes(text, dialect)
    text = re.sub("\r(?!\n)", CARRIAGE_RETURN, text)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        escapechar=dialect.escape,
        doublequote=dialect.escape is None,
        skipinitialspace=_has_spaced_header(text.split("\n", 1), dialect.delimiter),
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
                else r", or set format = { escape = '\' } if quotes are escaped so"
            )
            raise _UnfitError(
                f"line {reader.line_num} has a quote where none can be ({error}): "
                f"double the quotes within a text{escape}"
            ) from None
        yield reader.line_num, [field.replace(CARRIAGE_RETURN, "\r") for field in fields]


def _has_spaced_header(lines: list[str], delimiter: str) -> bool:
    """Return whether a blank follows each delimiter of the header: it belongs to the delimiter."""
    _, *others = next((line for line in lines if line.strip()), "").split(delimiter)
    return bool(others) and delimiter != " " and all(name.startswith(" ") for name in others)
