"""Score a written answer against its reference: ROUGE-L over words and Chinese characters.

The Alpaca tasks use it as their `score`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from pytest_ftcompare.tasks.base import Example

# A Chinese character, or a word of another script.
UNIT = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")


def _units(text: str) -> list[str]:
    """Return the compared units in one case and form, without white space and punctuation."""
    return UNIT.findall(unicodedata.normalize("NFKC", text).casefold())


def _lcs_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    lengths = [0] * (len(second) + 1)
    for unit in first:
        diagonal = 0
        for column, other in enumerate(second, start=1):
            diagonal, lengths[column] = (
                lengths[column],
                diagonal + 1 if unit == other else max(lengths[column], lengths[column - 1]),
            )
    return lengths[-1]


def rouge_l(text: str, example: Example) -> float:
    """Return the F measure of the longest common subsequence, from 0 to 1 (Lin 2004, ROUGE-L)."""
    answer, reference = _units(text), _units(str(example.label))
    if not answer or not reference:
        return float(answer == reference)
    return 2 * _lcs_length(answer, reference) / (len(answer) + len(reference))
