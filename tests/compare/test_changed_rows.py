"""Changed rows: the kind of change, the number of rows and the first row."""

import pytest

from pytest_ftcompare.compare import rows
from pytest_ftcompare.compare.rows import describe_row_changes
from pytest_ftcompare.results.result import row_digest

OLD = [(f"text {number}", number % 2) for number in range(10)]


def digests(rows):
    return {"train": " ".join(row_digest({"text": text}, label) for text, label in rows)}


def sentences(new, old=OLD):
    names = [f"row {number}, {text!r}" for number, (text, _) in enumerate(new)]
    return list(describe_row_changes(digests(old), digests(new), {"train": names}))


@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        (OLD, None),
        (
            [*OLD[:3], OLD[4], OLD[3], *OLD[5:]],
            "the same 10 rows in another order, from row 3, 'text 4' on",
        ),
        ([*OLD, ("more", 0), ("again", 1)], "2 rows were appended, the first is row 10, 'more'"),
        (OLD[:8], "its last 2 of 10 rows are gone"),
        (
            [*OLD[:4], ("text 4", 1), *OLD[5:]],
            "1 of 10 rows have another label, the first is row 4, 'text 4'",
        ),
        (
            [*OLD[:4], ("edited", 0), *OLD[5:]],
            "1 of 10 rows are gone and 1 of 10 rows are new, the first is row 4, 'edited'",
        ),
        (OLD[1:], "1 of 10 rows are gone"),
    ],
)
def test_a_change_of_rows_is_named(new, sentence):
    assert sentences(new) == ([f"split train: {sentence}"] if sentence else [])


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        # 6 and 8 rows of which the first 5 have digests
        (6, 8, None),
        (5, 8, None),
        (8, 4, "of the first 5 rows, which are compared, those after number 4 are gone"),
        (
            4,
            8,
            "of the first 5 rows, which are compared, the first that changed is row 4, 'text 4'",
        ),
    ],
)
def test_rows_beyond_the_last_digest_are_not_counted(monkeypatch, old, new, sentence):
    monkeypatch.setattr(rows, "MAX_ROW_DIGESTS", 5)
    texts = {"train": [f"row {number}, 'text {number}'" for number in range(new)]}
    kept = [digests(OLD[: min(count, 5)]) for count in (old, new)]
    found = list(rows.describe_row_changes(*kept, texts))
    assert found == ([f"split train: {sentence}"] if sentence else [])


def test_a_new_or_missing_split_is_named():
    old = digests(OLD)
    assert list(describe_row_changes(old, old | {"ood": ""}, {"train": [], "ood": []})) == [
        "split ood is new"
    ]
    assert list(describe_row_changes(old | {"ood": ""}, old, {"train": []})) == [
        "split ood is gone"
    ]
