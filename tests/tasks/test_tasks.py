"""Test tasks: conversion with clear errors, balanced draws that differ by seed."""

import dataclasses

import pytest

from pytest_ftcompare import tasks
from pytest_ftcompare.tasks import DataError, Example, few_shot

COLA = tasks.load("pocket_cola")
POOL = [Example({"sentence": str(number)}, number % 2) for number in range(200)]


def test_a_draw_is_balanced_and_repeats_for_its_seed():
    sample = few_shot(COLA, POOL, 16, seed=3)
    assert [sum(one.label == label for one in sample) for label in (0, 1)] == [16, 16]
    assert sample == few_shot(COLA, POOL, 16, seed=3)


def test_ten_seeds_draw_ten_different_sets_of_rows():
    drawn = {
        tuple(sorted(one.fields["sentence"] for one in few_shot(COLA, POOL, 16, seed)))
        for seed in range(10)
    }
    assert len(drawn) == 10


def test_the_draw_is_the_same_in_every_version():
    assert [one.fields["sentence"] for one in few_shot(COLA, POOL, 2, seed=0)] == [
        "19",
        "77",
        "66",
        "18",
    ]


def test_a_missing_column_names_the_row():
    with pytest.raises(
        DataError,
        match=r"expected a column 'label' in pocket/cola, split train, row 0 has \['sentence'\]",
    ):
        COLA.convert("train", [{"sentence": "x"}])


def test_an_unknown_label_names_the_row():
    row = {"sentence": "x", "label": 7, "construction": "c"}
    with pytest.raises(
        DataError, match=r"expected a label in 0\.\.1 \(unacceptable, acceptable\).* row 0 has 7"
    ):
        COLA.convert("train", [row])


@pytest.mark.parametrize("given", [None, 3, ["x"]])
def test_a_field_without_text_names_the_row(given):
    row = {"sentence": given, "label": 0, "construction": "c"}
    with pytest.raises(
        DataError, match=r"expected a text as sentence in pocket/cola, split train, row 0 has "
    ):
        COLA.convert("train", [row])


def test_a_column_of_another_type_names_the_row():
    row = {"instruction": "x", "input": "", "output": None}
    with pytest.raises(
        DataError,
        match=r"expected columns of the types it needs in llamafactory/.*, row 0 has others",
    ):
        tasks.load("alpaca_zh").convert("train", [row])


def test_a_template_without_its_field_is_named():
    task = dataclasses.replace(COLA, pattern="{text} grammatical ? answer :")
    row = {"sentence": "x", "label": 0, "construction": "c"}
    with pytest.raises(
        DataError, match=r"expected a template of the fields sentence, '\{text\} .*' names 'text'"
    ):
        task.convert("train", [row])


def test_a_written_answer_without_text_names_the_row():
    row = {"kind": "zh-who", "instruction": "x", "input": "y", "output": ""}
    with pytest.raises(
        DataError,
        match=r"expected an answer of some text in pocket/requests, split train, row 0 has ''",
    ):
        tasks.load("pocket_requests").convert("train", [row])


def test_an_empty_split_is_refused():
    with pytest.raises(DataError, match="has no row that the task can use"):
        COLA.convert("train", [])


def test_mnli_drops_neutral_and_hans_keeps_its_two_labels():
    mnli = tasks.load("mnli")
    rows = [{"premise": "p", "hypothesis": "h", "label": label} for label in (0, 1, 2)]
    assert [one.label for one in mnli.convert("train", rows)] == [0, 1]
    hans = [
        {"premise": "p", "hypothesis": "h", "label": label, "heuristic": "x"} for label in (0, 1)
    ]
    assert [one.label for one in mnli.convert("ood", hans)] == [0, 1]


def test_blimp_gives_one_sentence_of_each_pair_and_keeps_islands_out_of_domain():
    blimp = tasks.load("blimp")
    rows = [
        {
            "sentence_good": f"good {n}",
            "sentence_bad": f"bad {n}",
            "linguistics_term": "island_effects" if n < 10 else "npi",
        }
        for n in range(60)
    ]
    found = {split: blimp.convert(split, rows) for split in ("train", "test", "ood")}
    assert sum(map(len, found.values())) == len(rows)
    assert {one.group for one in found["ood"]} == {"island_effects"}
    for examples in found.values():
        assert all(
            one.fields["sentence"].startswith(("bad", "good")[one.label]) for one in examples
        )


def test_words_and_tags_of_the_labelling_task_have_equal_length():
    task = tasks.load("pocket_ner")
    from pytest_ftcompare.tasks.hub import locate, read_split

    examples = task.convert("train", read_split(locate("datasets", "pocket/ner", None), "train"))
    assert all(len(one.fields["tokens"].split()) == len(one.label) for one in examples)
    assert {tag for one in examples for tag in one.label} == set(range(len(task.labels)))


def test_chinese_instructions_keep_short_answers_and_hold_every_fifth_row_out():
    task = tasks.load("alpaca_zh")
    rows = [
        {"instruction": f"问{n}", "input": "料" * (n % 2), "output": "答" * (200 if n == 7 else n)}
        for n in range(20)
    ]
    train, test = (task.convert(split, rows) for split in ("train", "test"))
    assert [len(one.label) for one in test] == [5, 10, 15]  # the first has no answer at all
    assert {len(one.label) for one in train} == set(range(20)) - {0, 5, 7, 10, 15}
    assert train[0].fields["prompt"] == "指令：问1\n输入：料\n回答："
    assert train[1].fields["prompt"] == "指令：问2\n回答："


def test_an_evaluation_class_with_a_no_break_space_is_the_same_class():
    rows = [
        {"question": "x", "std_answer": "y", "class": one} for one in ("closed qa", "closed\xa0qa")
    ]
    assert {one.group for one in tasks.load("alpaca_zh").convert("ood", rows)} == {"closed qa"}
