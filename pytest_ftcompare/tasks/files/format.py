"""Read a task's table `format`, which says how its files are written.

`custom.py` calls this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ftcompare.tasks.base import DataError

ENCODING = "utf-8"


@dataclass(frozen=True)
class Format:
    """A task's settings for its files. None: the content decides, or the file is refused.

    `delimiter`, `quote` ("" if quotes are text) and `escape` are single characters of a CSV or TSV
    file; `encoding` is a name that Python knows.
    """

    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    encoding: str | None = None


def make_format(table: Any) -> Format:
    """Return the format of a task's table. Raise `DataError` for an unknown key or value."""
    known = Format.__dataclass_fields__
    if not isinstance(table, Mapping):
        raise DataError(f"expected format to be a table of {', '.join(known)}, got {table!r}")
    if unknown := sorted(set(table) - set(known)):
        raise DataError(f"expected {', '.join(known)} in format, found {unknown[0]}")
    for name, value in table.items():
        if not isinstance(value, str):
            raise DataError(f"expected {name} in format to be a text, got {value!r}")
        if name != "encoding" and len(value) != 1 and not (name == "quote" and value == ""):
            raise DataError(f"expected {name} in format to be one character, got {value!r}")
    if "encoding" in table:
        try:
            "".encode(table["encoding"])
        except (LookupError, ValueError):
            raise DataError(
                f"expected an encoding that Python knows in format, got {table['encoding']!r}"
            ) from None
    return Format(**table)
