"""The overlap of a written answer with its reference: a longest common subsequence of words and Chinese characters."""

import pytest

from pytest_ftcompare.tasks import Example
from pytest_ftcompare.tasks.rouge import rouge_l


@pytest.mark.parametrize(
    ("written", "wanted", "share"),
    [
        ("中国将于明年发射。", "中国将于明年发射", 1.0),
        ("中国 将发射！", "中国将于明年发射", 2 * 5 / (5 + 8)),
        ("ＡＢＣ", "abc", 1.0),  # full-width letters
        ("the dog saw a cat", "a dog saw the cat", 2 * 3 / 10),  # the order counts
        ("cat", "cats", 0.0),
        ("用Python写", "用 python 写", 1.0),
        ("", "abc", 0.0),
        ("。", "abc", 0.0),
        ("。", "！", 1.0),  # nothing is asked for, nothing is said
    ],
)
def test_the_overlap_is_what_it_is_by_hand(written, wanted, share):
    assert rouge_l(written, Example({}, wanted)) == pytest.approx(share)
