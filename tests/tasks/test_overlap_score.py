"""Test ROUGE-L of a written answer: its longest common subsequence with the reference."""

import pytest

from pytest_ftcompare.tasks import Example
from pytest_ftcompare.tasks.rouge import rouge_l


@pytest.mark.parametrize(
    ("answer", "reference", "share"),
    [
        ("中国将于明年发射。", "中国将于明年发射", 1.0),
        ("中国 将发射！", "中国将于明年发射", 2 * 5 / (5 + 8)),
        ("ＡＢＣ", "abc", 1.0),  # full-width letters
        ("the dog saw a cat", "a dog saw the cat", 2 * 3 / 10),  # the order counts
        ("cat", "cats", 0.0),
        ("用Python写", "用 python 写", 1.0),
        ("", "abc", 0.0),
        ("。", "abc", 0.0),
        ("。", "！", 1.0),  # both have no unit
    ],
)
def test_the_score_equals_the_hand_computed_one(answer, reference, share):
    assert rouge_l(answer, Example({}, reference)) == pytest.approx(share)
