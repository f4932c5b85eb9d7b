"""How much of a reference a written answer says: ROUGE-L over words, and over characters where no spaces divide words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from pytest_ftcompare.tasks.base import Example

UNIT = re.compile(
    r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+"
)  # a Chinese character, or a word of another script


def _units(text: str) -> list[str]:
    """What is compared, in one case and form; white space and punctuation do not count."""
    return UNIT.findall(unicodedata.normalize("NFKC", text).casefold())


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of their longest common subsequence."""
    row = [0] * (len(second) + 1)
    for one in first:
        before = 0
        for at, other in enumerate(second, start=1):
            before, row[at] = row[at], before + 1 if one == other else max(row[at], row[at - 1])
    return row[-1]


def overlap(text: str, example: Example) -> float:
    """The F measure of the longest common subsequence with the reference, from 0 to 1 (Lin 2004, ROUGE-L)."""
    written, wanted = _units(text), _units(str(example.label))
    if not written or not wanted:
        return float(written == wanted)
    return 2 * _common(written, wanted) / (len(written) + len(wanted))
