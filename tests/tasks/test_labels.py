"""Test which class a value means: its name or its index, refused if both fit and differ."""

import pytest

from pytest_ftcompare.tasks import DataError
from pytest_ftcompare.tasks.labels import Labels

CALM = ("calm", "urgent")
STARS = ("1", "2", "3", "4", "5")


@pytest.mark.parametrize(
    ("names", "labels_are", "value", "index"),
    [
        (CALM, "", "urgent", 1),
        (CALM, "", 1, 1),
        (CALM, "", "1", 1),  # all that a CSV has is text
        (CALM, "", True, 1),
        (CALM, "", False, 0),
        (CALM, "", "True", 1),
        (("True", "False"), "names", True, 0),
        (("true", "false"), "names", "True", 0),  # as pandas and spreadsheets write it
        (("True", "False"), "names", "FALSE", 1),
        (("false", "true"), "", "TRUE", 1),
        (("no", "yes"), "indices", "1", 1),
        (("0", "1"), "", 0, 0),
        (("0", "1"), "", "1", 1),
        (("1", "0"), "names", 0, 1),
        (("1", "0"), "indices", 0, 0),
        (STARS, "names", 5, 4),
        (STARS, "indices from 1", 5, 4),
        (("terrible", "bad", "fair"), "indices from 1", 1, 0),
        (("10", "20", "30"), "", 20, 1),
        (("caf\u00e9", "bar"), "", "cafe\u0301", 0),  # the same text in another form of Unicode
    ],
)
def test_a_value_is_a_name_or_an_index(names, labels_are, value, index):
    assert Labels(names, labels_are).index(value) == index


@pytest.mark.parametrize(
    ("names", "labels_are", "value", "sentence"),
    [
        (
            ("1", "0"),
            "",
            0,
            "not both, got 0, the name of '0' and the index of '1': set labels_are",
        ),
        (STARS, "", 1, "got 1, the name of '1' and the index of '2': set labels_are"),
        (("true", "false"), "", True, "got True, the name of 'true' and the index of 'false'"),
        (("true", "false"), "", "True", "got 'True', the name of 'true' and the index of 'false'"),
        (("True", "False"), "", "true", "got 'true', the name of 'True' and the index of 'False'"),
        (("1.0", "0.0"), "", 1, r"a label in 0..1 \(1.0, 0.0\), got 1"),
        (("-1", "+1"), "", "1", "got '1'"),
        (("10", "20", "30"), "", 1, r"a label in 0..2 \(10, 20, 30\), got 1"),
        (CALM, "", "Urgent", "'Urgent', which differs from 'urgent' in case or white space"),
        (CALM, "", "urgent ", "'urgent ', which differs from 'urgent' in case or white space"),
        (CALM, "", 2, "got 2: if classes count from 1, set labels_are"),
        (CALM, "", None, "got None"),
        (CALM, "", 1.0, "got 1.0"),
        (CALM, "", ["calm"], "got "),
        (CALM, "", -1, "got -1"),
        (CALM, "", "01", "got '01'"),
        (CALM, "names", 1, "the name of a class .*, got 1"),
        (CALM, "indices", "calm", "an index 0..1 .*, got 'calm'"),
        (("a", "b", "c"), "", True, "got True"),
        (CALM, "indices from 1", True, "got True"),
    ],
)
def test_a_value_that_is_neither_or_both_is_refused(names, labels_are, value, sentence):
    with pytest.raises(DataError, match=sentence):
        Labels(names, labels_are).index(value)


@pytest.mark.parametrize(
    ("names", "labels_are", "sentence"),
    [
        (("a", "a"), "", "expected each label once, 'a' is there twice"),
        (("caf\u00e9", "cafe\u0301"), "", "expected each label once"),
        (("true", "True"), "", "expected labels that differ in more than case, got true and True"),
        (("a", " "), "", "expected the names of classes as labels, got ' '"),
        (
            CALM,
            "index",
            "expected labels_are to be one of 'names', 'indices', 'indices from 1', got 'index'",
        ),
    ],
)
def test_invalid_labels_are_refused(names, labels_are, sentence):
    with pytest.raises(DataError, match=sentence):
        Labels(names, labels_are)
