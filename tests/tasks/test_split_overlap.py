"""Test rows that splits share: a large overlap is refused, single rows leave the training pool."""

import json
from dataclasses import replace

import pytest

from pytest_ftcompare.results.case import Case
from pytest_ftcompare.tasks import Example
from pytest_ftcompare.tasks.split_overlap import drop_tested_rows, overlaps, source_overlaps
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare


def rows(first, last, text="sentence {}"):
    return [Example({"sentence": text.format(index)}, index % 2) for index in range(first, last)]


SPLITS = {"train": rows(0, 400), "test": rows(400, 500), "ood": rows(500, 600)}


def test_splits_without_a_common_row_pass():
    assert list(overlaps("cola", SPLITS)) == []


def test_an_in_domain_set_that_holds_the_out_of_domain_rows_is_refused():
    joined = SPLITS | {"test": [*SPLITS["test"], *SPLITS["ood"]]}
    assert list(overlaps("cola", joined)) == [
        "overlap: expected rows in split test of task cola that split ood does not have, "
        "100 of 200 are in both, the first is 'sentence 500': remove them from one of the two"
    ]


@pytest.mark.parametrize("text", ["Sentence  {}", " SENTENCE {}\n", "\uff53entence {}"])
def test_a_trained_test_row_in_other_case_space_or_width_is_found(text):
    found = list(overlaps("cola", SPLITS | {"test": rows(0, 20, text)}))
    assert (
        len(found) == 1
        and "split train of task cola that split test does not have, 20 of 400" in found[0]
    )


def test_another_label_does_not_make_another_row():
    relabelled = [replace(example, label=1 - example.label) for example in SPLITS["test"]]
    assert list(overlaps("cola", SPLITS | {"ood": relabelled}))


def test_pairs_of_sentences_are_equal_only_if_both_sentences_are():
    pairs = [Example({"premise": "a", "hypothesis": str(at)}, 0) for at in range(20)]
    others = [Example({"premise": str(at), "hypothesis": "a"}, 0) for at in range(20)]
    assert list(overlaps("mnli", {"train": pairs, "test": others})) == []


def test_few_shared_rows_pass_and_leave_the_training_pool():
    splits = SPLITS | {"test": [*SPLITS["test"], *rows(0, 3)]}
    assert list(overlaps("cola", splits)) == []
    assert drop_tested_rows(splits) == SPLITS["train"][3:]


def test_a_source_task_that_trains_on_the_tested_rows_is_refused():
    (found,) = source_overlaps("cola", SPLITS, "blimp", [*rows(900, 990), *rows(500, 600)])
    assert (
        "in split ood of task cola that the training rows of its source blimp does not have, "
        "100 of 100" in found
    )
    assert list(source_overlaps("cola", SPLITS, "blimp", rows(900, 990))) == []


def hub(folder, **splits):
    where = folder / "datasets" / "nyu-mll" / "cola"
    where.mkdir(parents=True)
    for name, examples in splits.items():
        lines = [
            json.dumps({"sentence": one.fields["sentence"], "label": one.label}) for one in examples
        ]
        (where / f"{name}.jsonl").write_text("\n".join(lines))
    return prepare(
        Case("s", "full", "cola", "pocket/opt-0.4m", 2),
        TrainingConfig("pocket", max_length=192, test_rows=50, hub=folder),
    )


def test_the_overlap_counts_all_rows_of_a_split_although_few_are_tested(tmp_path):
    prepared = hub(
        tmp_path,
        train=SPLITS["train"],
        validation=[*SPLITS["test"], *SPLITS["ood"]],
        ood=SPLITS["ood"],
    )
    assert len(prepared.refusals) == 1 and "100 of 200 are in both" in prepared.refusals[0]


def test_a_case_never_trains_on_a_tested_row(tmp_path):
    prepared = hub(
        tmp_path,
        train=SPLITS["train"],
        validation=[*SPLITS["test"], *rows(0, 3)],
        ood=SPLITS["ood"],
    )
    assert prepared.refusals == () and prepared.examples["train"] == SPLITS["train"][3:]
