"""Find the class of a label column's value: the name of a class or its index, without a guess.

`custom.py` calls this for each row. A value that names one class and is the index of another is
refused; the task's table sets `labels_are` to choose.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pytest_ftcompare.tasks.base import DataError, RowError

LabelsAre = Literal["names", "indices", "indices from 1"]
LABELS_ARE: tuple[str, ...] = get_args(LabelsAre)
BOOLS = {"false": 0, "true": 1}


def _normalized(name: str) -> str:
    """Return a text in the Unicode form in which equal texts are equal."""
    return unicodedata.normalize("NFC", name)


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


@dataclass(frozen=True)
class Labels:
    """The names of a task's classes, and what its column holds ("": the values decide)."""

    names: Sequence[str]
    labels_are: str = ""

    def __post_init__(self) -> None:
        if self.labels_are and self.labels_are not in LABELS_ARE:
            raise DataError(
                f"expected labels_are to be one of {', '.join(map(repr, LABELS_ARE))}, "
                f"got {self.labels_are!r}"
            )
        names = [_normalized(name) for name in self.names]
        if duplicate := next((name for name in names if names.count(name) > 1), None):
            raise DataError(f"expected each label once, {duplicate!r} is there twice")
        bools = [name for name in names if name.lower() in BOOLS]
        if len({name.lower() for name in bools}) < len(bools):
            raise DataError(
                f"expected labels that differ in more than case, got {' and '.join(bools)}"
            )
        if blank := next((name for name in self.names if not name.strip()), None):
            raise DataError(f"expected the names of classes as labels, got {blank!r}")

    def index(self, value: Any) -> int:
        """Return the class index of a value. Raise `RowError` if it fits no class, or two."""
        if not isinstance(value, str | int):
            raise RowError(self._expected, repr(value))
        by_name = self._by_name(value) if self.labels_are in ("", "names") else None
        by_index = self._by_index(value) if self.labels_are != "names" else None
        if by_name is None and by_index is None:
            raise RowError(self._expected, f"{value!r}{self._hint(value)}")
        if None not in (by_name, by_index) and by_name != by_index:
            raise RowError(
                "a label that is the name of a class or an index, not both",
                f"{value!r}, the name of {self.names[by_name or 0]!r} and the index of "
                f"{self.names[by_index or 0]!r}: "
                'set labels_are = "names" or labels_are = "indices"',
            )
        label = by_name if by_name is not None else by_index
        assert label is not None
        return label

    @property
    def _expected(self) -> str:
        last = len(self.names) - 1
        kinds = {
            "names": "the name of a class",
            "indices": f"an index 0..{last}",
            "indices from 1": f"an index 1..{last + 1}",
        }
        shown = ", ".join(self.names[:8]) + (
            f" and {len(self.names) - 8} more" if len(self.names) > 8 else ""
        )
        return f"{kinds.get(self.labels_are, f'a label in 0..{last}')} ({shown})"

    def _by_name(self, value: str | int) -> int | None:
        text = _normalized(str(value))
        names = [_normalized(name) for name in self.names]
        # A file writes the class "true" as true, True or TRUE.
        if text not in names and text.lower() in BOOLS:
            text, names = text.lower(), [name.lower() for name in names]
        return names.index(text) if text in names else None

    def _by_index(self, value: str | int) -> int | None:
        """Return the value as an index; with two classes, True and False are 1 and 0."""
        text = str(value).lower()
        if text in BOOLS:
            number = (
                BOOLS[text] if len(self.names) == 2 and self.labels_are != "indices from 1" else -1
            )
        elif text.isdecimal() and text == str(int(text)):
            number = int(text) - (self.labels_are == "indices from 1")
        else:
            return None
        # If numbers name the classes, another number is no index.
        if (
            any(map(_is_number, self.names))
            and not self.labels_are
            and self._by_name(value) is None
        ):
            return None
        return number if 0 <= number < len(self.names) else None

    def _hint(self, value: Any) -> str:
        """Return a hint for a value that differs in case or white space, or counts from 1."""
        text = _normalized(str(value)).strip().casefold()
        near = next(
            (name for name in self.names if _normalized(name).strip().casefold() == text), None
        )
        if near is not None:
            return (
                f", which differs from {near!r} in case or white space: "
                "write labels as the rows have them"
            )
        if text == str(len(self.names)) and not self.labels_are:
            return ': if classes count from 1, set labels_are = "indices from 1"'
        return ""
