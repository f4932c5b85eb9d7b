"""Which class a value of a label column means: the name of a class or its index, and never a guess.

Called by custom.py for each row. Where a value may be the name of one class and the index of
another, it is refused; the task's table says with `labels_are` which of them it is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pytest_ftcompare.tasks.base import DataError, RowError

LabelsAre = Literal["names", "indices", "indices from 1"]
LABELS_ARE: tuple[str, ...] = get_args(LabelsAre)
BOOLS = {"false": 0, "true": 1}  # as JSON and Python write them


def _same(name: str) -> str:
    """A text in the one of Unicode's forms in which equal texts are equal."""
    return unicodedata.normalize("NFC", name)


@dataclass(frozen=True)
class Labels:
    """The names of a task's classes, and what the values of its column are, "" where they show
    it."""

    names: Sequence[str]
    labels_are: str = ""

    def __post_init__(self) -> None:
        if self.labels_are and self.labels_are not in LABELS_ARE:
            raise DataError(
                f"expected labels_are to be one of {', '.join(map(repr, LABELS_ARE))}, got {self.labels_are!r}"
            )
        names = [_same(name) for name in self.names]
        if doubled := next((name for name in names if names.count(name) > 1), None):
            raise DataError(f"expected each label once, {doubled!r} is there twice")
        if blank := next((name for name in self.names if not name.strip()), None):
            raise DataError(f"expected the names of classes as labels, got {blank!r}")

    def index(self, value: Any) -> int:
        """The class of a value; `RowError` where it is of none, or may be of two."""
        if not isinstance(value, str | int):
            raise RowError(self._expected, repr(value))
        by_name = self._by_name(value) if self.labels_are in ("", "names") else None
        by_index = self._by_index(value) if self.labels_are != "names" else None
        if by_name is None and by_index is None:
            raise RowError(self._expected, f"{value!r}{self._nearly(value)}")
        if None not in (by_name, by_index) and by_name != by_index:
            raise RowError(
                "a label that is the name of a class or an index, not both",
                f"{value!r}, the name of {self.names[by_name or 0]!r} and the index of {self.names[by_index or 0]!r}: "
                'say labels_are = "names" or labels_are = "indices"',
            )
        label = by_name if by_name is not None else by_index
        assert label is not None
        return label

    @property
    def _expected(self) -> str:
        last = len(self.names) - 1
        what = {
            "names": "the name of a class",
            "indices": f"an index 0..{last}",
            "indices from 1": f"an index 1..{last + 1}",
        }
        shown = ", ".join(self.names[:8]) + (
            f" and {len(self.names) - 8} more" if len(self.names) > 8 else ""
        )
        return f"{what.get(self.labels_are, f'a label in 0..{last}')} ({shown})"

    def _by_name(self, value: str | int) -> int | None:
        said = _same(str(value))
        if isinstance(value, bool):  # True is the class "true", where there is such a class
            return next(
                (k for k, name in enumerate(self.names) if name.lower() == said.lower()), None
            )
        return next((k for k, name in enumerate(self.names) if _same(name) == said), None)

    def _by_index(self, value: str | int) -> int | None:
        """The index that a value is; True and False are 1 and 0 of two classes."""
        said = str(value).lower()
        if said in BOOLS:
            number = (
                BOOLS[said] if len(self.names) == 2 and self.labels_are != "indices from 1" else -1
            )
        elif said.isdecimal() and said == str(int(said)):
            number = int(said) - (self.labels_are == "indices from 1")
        else:
            return None
        if (
            any(name.isdecimal() for name in self.names)
            and not self.labels_are
            and self._by_name(value) is None
        ):
            return None  # the classes are named by numbers, and this is none of them
        return number if 0 <= number < len(self.names) else None

    def _nearly(self, value: Any) -> str:
        """A hint where the value is a class but for case or white space, or counts from 1."""
        said = _same(str(value)).strip().casefold()
        near = next((name for name in self.names if _same(name).strip().casefold() == said), None)
        if near is not None:
            return f", which is not {near!r} in case or white space: write labels as the rows have them"
        if said == str(len(self.names)) and not self.labels_are:
            return ': if classes count from 1, say labels_are = "indices from 1"'
        return ""
