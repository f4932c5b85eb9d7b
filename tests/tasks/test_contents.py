"""Test empty and contradictory rows: they are counted, reported, and refused if many."""

from dataclasses import replace

from pytest_ftcompare import tasks
from pytest_ftcompare.tasks import Example
from pytest_ftcompare.tasks.base import Source, Task
from pytest_ftcompare.tasks.contents import MAX_CONTRADICTING_SHARE, MAX_EMPTY_SHARE, check_contents

ROWS = [Example({"text": f"row {number}"}, number % 2) for number in range(100)]


def check(rows, labels=("calm", "urgent")):
    """Check rows, every second of a file's."""
    source = Source("x", "train", lambda row, _: [])
    train = [replace(row, row=2 * number) for number, row in enumerate(rows)]
    return list(check_contents(Task("tickets", labels, source, source), {"train": train}))


def test_a_class_without_rows_is_refused():
    # Stars from 1 to 4 of 5, read from 0, look like this.
    ((refused, sentence),) = check(ROWS, ("none", "calm", "urgent"))
    assert refused
    assert "1 of 3 have none, the first is 'urgent': check that labels names" in sentence


def test_valid_rows_are_not_reported():
    assert check(ROWS) == []


def test_empty_rows_are_reported_and_refused_if_many():
    few = [Example({"text": " \n"}, 0)] * int(100 * MAX_EMPTY_SHARE)
    ((refused, sentence),) = check([*ROWS[len(few) :], *few])
    assert not refused
    assert sentence.startswith(
        "empty rows: expected rows with text in split train of task tickets, 5 of 100 have none"
    )
    assert "the first in row 190 and 192" in sentence
    assert check([*ROWS[:90], *few, *few])[0][0]


def test_contradictions_are_reported_and_refused_if_many():
    few = [
        Example({"text": f"ROW  {number}"}, 1 - number % 2)
        for number in range(int(100 * MAX_CONTRADICTING_SHARE))
    ]
    ((refused, sentence),) = check([*ROWS[:95], *few])
    assert not refused
    assert (
        "5 of 100 have another label than an earlier row with the same text, "
        "such as rows 0 and 190, 'ROW  0'" in sentence
    )
    assert check([*ROWS[:90], *few, Example({"text": "row 9"}, 0)])[0][0]


def test_the_same_row_twice_is_no_contradiction():
    assert check([*ROWS, *ROWS]) == []


def test_written_answers_may_differ():
    assert check([Example({"text": "x"}, "yes"), Example({"text": "x"}, "no")], ()) == []


def test_the_shipped_tasks_have_no_such_rows():
    from pytest_ftcompare.tasks.hub import locate, read_split

    for name in tasks.NAMES:
        task = tasks.load(name)
        if name.startswith("pocket_"):
            splits = {
                split: task.convert(
                    split, read_split(locate("datasets", one.dataset, None), one.split)
                )
                for split, one in task.splits().items()
            }
            assert list(check_contents(task, splits)) == [], name
