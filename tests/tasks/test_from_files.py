"""Test tasks from a project's table: templates, required row values, and conversations."""

import json

import pytest
from datasets import Dataset, DatasetDict

from pytest_ftcompare.gate import project_config
from pytest_ftcompare.tasks import DataError
from pytest_ftcompare.tasks.custom import make_task

ASKED = {"role": "user", "content": "the server is down"}
SYSTEM = {"role": "system", "content": "be brief"}
SAID = {"role": "assistant", "content": "urgent"}


def made(tmp_path, rows, **given):
    """Return the task of a table with these training rows."""
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "test.jsonl").write_text("")
    table = {
        "train": "rows.jsonl",
        "test": "test.jsonl",
        "text_template": "{text}",
        "labels": ["calm", "urgent"],
        "label": "kind",
    }
    return make_task(
        "tickets", {name: one for name, one in (table | given).items() if one is not None}, tmp_path
    )


def examples(tmp_path, rows, **given):
    task = made(tmp_path, rows, **given)
    return task.convert("train", task.train.read())


def test_a_column_with_a_dot_is_a_column(tmp_path):
    row = {"ticket.text": "down", "ticket[0]": "up", "kind": "calm"}
    template = "{ticket.text} / {ticket[0]} {{x}}"
    (one,) = examples(tmp_path, [row], text_template=template)
    assert (
        made(tmp_path, [row], text_template=template).text_template.format(**one.fields)
        == "down / up {x}"
    )


@pytest.mark.parametrize(
    ("text_template", "sentence"),
    [
        ("{n:03d}", "expected a column's name alone in braces, got '{n:03d}'"),
        ("{text!r}", "expected a column's name alone in braces, got"),
        ("{}", "expected a column's name alone in braces, got"),
        (
            "{a.b_} {a[b]}",
            r"expected columns that can be told apart, 'a\[b\]' and 'a.b_' cannot: rename one",
        ),
    ],
)
def test_a_template_that_names_more_than_columns_is_refused_before_a_row_is_read(
    tmp_path, text_template, sentence
):
    with pytest.raises(DataError, match=sentence):
        made(tmp_path, [], text_template=text_template)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "None"),
        (3, "3"),
        (0.5, "0.5"),
        (True, "True"),
        ([ASKED], r"\[\{'role'"),
        ({"a": 1}, r"\{'a'"),
    ],
)
def test_only_text_is_text(tmp_path, value, said):
    with pytest.raises(
        DataError, match=f"expected a text as text in .*rows.jsonl, split rows, row 1 has {said}"
    ):
        examples(tmp_path, [{"text": "a", "kind": "calm"}, {"text": value, "kind": "calm"}])


def test_half_of_a_character_is_refused(tmp_path):
    with pytest.raises(
        DataError,
        match=r"expected a text of whole characters as text in .*, row 0 has half of a surrogate",
    ):
        examples(tmp_path, [{"text": "a \ud800", "kind": "calm"}])


def test_a_conversation_is_read_without_the_answer_that_ends_it(tmp_path):
    (one,) = examples(
        tmp_path, [{"m": [SYSTEM, ASKED, SAID], "kind": "urgent"}], text_template="{m}", chat="m"
    )
    assert json.loads(one.fields["m"]) == [SYSTEM, ASKED]
    assert one.label == 1


def test_the_answer_that_ends_a_conversation_can_be_the_text_to_write(tmp_path):
    given = {"text_template": "{m}", "chat": "m", "answer": "m", "labels": None, "label": None}
    (one,) = examples(tmp_path, [{"m": [ASKED, SAID | {"name": None}]}], **given)
    assert (json.loads(one.fields["m"]), one.label) == ([ASKED], "urgent")
    with pytest.raises(
        DataError, match=r"expected an answer of role assistant at the end of m in .*, row 0 has"
    ):
        examples(tmp_path, [{"m": [ASKED]}], **given)


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        (
            "hello",
            "expected a list of messages with role and content as m in .*, row 0 has 'hello'",
        ),
        ([], "expected a list of messages"),
        (
            [{"from": "human", "value": "x"}],
            "expected a list of messages with role and content as m in .*, row 0 has {'from'",
        ),
        (
            [{"role": "user", "content": [{"type": "image"}]}],
            "expected a text as content in .*, row 0 has",
        ),
        (
            [ASKED, {**SAID, "tool_calls": [{"name": "close"}]}],
            "expected messages of role and content alone as m, as the model reads nothing else in "
            ".*, row 0 has one with tool_calls: {'role'",
        ),
        ([SAID], "expected a message to answer in m in .*, row 0 has only an answer"),
    ],
)
def test_an_invalid_conversation_names_the_row(tmp_path, messages, sentence):
    with pytest.raises(DataError, match=sentence):
        examples(tmp_path, [{"m": messages, "kind": "calm"}], text_template="{m}", chat="m")


def test_an_empty_value_beside_role_and_content_is_left_out(tmp_path):
    """Arrow gives each message all keys of its column."""
    asked = ASKED | {"name": None, "tool_calls": []}
    (one,) = examples(tmp_path, [{"m": [asked], "kind": "calm"}], text_template="{m}", chat="m")
    assert json.loads(one.fields["m"]) == [ASKED]


def test_an_example_has_the_number_of_its_row_in_the_file(tmp_path):
    rows = [{"text": f"text {number}", "kind": "calm"} for number in range(40)]
    task = made(tmp_path, rows, test=None)
    splits = {name: task.convert(name, task.train.read()) for name in ("train", "test")}
    assert sorted(one.row for examples in splits.values() for one in examples) == list(range(40))
    assert all(one.fields["text"] == f"text {one.row}" for one in splits["test"])


@pytest.mark.parametrize(
    ("splits", "tested"),
    [
        (("train", "test"), "test"),
        (("train",), "train"),
        (("train", "validation"), "train"),
    ],
)
def test_a_saved_folder_of_splits_is_a_project(tmp_path, splits, tested):
    rows = Dataset.from_list(
        [{"text": f"text {number}", "label": number % 2} for number in range(40)]
    )
    DatasetDict(dict.fromkeys(splits, rows)).save_to_disk(tmp_path / "saved")
    (tmp_path / "pyproject.toml").write_text(
        """
        [tool.ftcompare.tasks.tickets]
        train = "saved"
        labels = ["calm", "urgent"]
        text_template = "{text}"
        """
    )
    project = project_config.read(tmp_path)
    task = project.tasks["tickets"]
    read = {name: len(task.convert(name, task.splits()[name].read())) for name in ("train", "test")}
    assert sum(read.values()) == (80 if tested == "test" else 40)
    assert task.test.split == tested
    assert project.data == {tmp_path / "saved" / name for name in ("train", tested)}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"verbalizers": [" no", " yes"]},
            "expected a pattern that the verbalizers answer, there is none",
        ),
        ({"chat": "m"}, "expected a pattern that names the column of the chat, {m}"),
        ({"labels": ["calm"]}, "expected two labels or more, got 1"),
        (
            {"format": {"sep": ","}},
            "expected delimiter, quote, escape, encoding in format, found sep",
        ),
        ({"labels_are": "numbers"}, "expected labels_are to be one of"),
        ({"train": "none-*.csv"}, "train: expected files that match .*, there are none"),
    ],
)
def test_an_invalid_table_is_refused(tmp_path, given, sentence):
    with pytest.raises(DataError, match=sentence):
        made(tmp_path, [], **given)


def test_an_answer_follows_the_pattern_or_without_one_the_text_template(tmp_path):
    given = {"answer": "kind", "labels": None, "label": None}
    assert made(tmp_path, [], **given).pattern == "{text}"
    assert made(tmp_path, [], pattern="{text} ?", **given).pattern == "{text} ?"
    assert made(tmp_path, []).pattern == ""


def test_a_group_is_a_text_or_a_whole_number(tmp_path):
    found = examples(
        tmp_path, [{"text": "a", "kind": 0, "from": one} for one in ("web", 7)], group="from"
    )
    assert [one.group for one in found] == ["web", "7"]
    with pytest.raises(
        DataError, match=r"expected a text or a whole number as from in .*, row 0 has None"
    ):
        examples(tmp_path, [{"text": "a", "kind": 0, "from": None}], group="from")
