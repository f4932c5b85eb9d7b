"""How much of a reference a written answer says: ROUGE-L over characters, for languages that put no spaces between words."""

from __future__ import annotations

import unicodedata

from pytest_ftcompare.tasks.base import Example


def _characters(text: str) -> str:
    """Letters and digits in one case and form; white space and punctuation do not count."""
    return "".join(one for one in unicodedata.normalize("NFKC", text).casefold() if one.isalnum())


def _common(first: str, second: str) -> int:
    """The length of their longest common subsequence."""
    row = [0] * (len(second) + 1)
    for one in first:
        before = 0
        for at, other in enumerate(second, start=1):
            before, row[at] = row[at], before + 1 if one == other else max(row[at], row[at - 1])
    return row[-1]


def overlap(text: str, example: Example) -> float:
    """The F measure of the longest common subsequence with the reference, from 0 to 1 (Lin 2004, ROUGE-L)."""
    written, wanted = _characters(text), _characters(str(example.label))
    if not written or not wanted:
        return float(written == wanted)
    return 2 * _common(written, wanted) / (len(written) + len(wanted))
