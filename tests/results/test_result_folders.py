"""Folders of results, their common cases, and comparisons of finished results."""

import json
from dataclasses import replace

import pytest
from make_results import make_result, make_seed_result
from method_comparison import training, write

from pytest_ftcompare.compare import FolderError, compare, compare_suites, read
from pytest_ftcompare.results import baseline_store, result_folders

SCORES = [0.80, 0.82, 0.78, 0.81, 0.79, 0.80, 0.83, 0.77]
RESULT = make_result(SCORES)


def store(folder, result):
    path = baseline_store.path_of(folder, "cpu", result.suite, result.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(result.to_json())


def test_baselines_are_read_from_every_level(tmp_path):
    store(tmp_path, RESULT)
    store(tmp_path, replace(RESULT, id="other"))
    for folder in (tmp_path, tmp_path / "cpu", tmp_path / "cpu" / RESULT.suite):
        assert [one.id for one in read(folder)] == [RESULT.id, "other"]


def test_an_unfinished_update_is_no_result(tmp_path):
    store(tmp_path, RESULT)
    (tmp_path / ".staging-x").mkdir()
    (tmp_path / ".staging-x" / "half.json").write_text("{")
    assert len(read(tmp_path)) == 1


def test_the_latest_of_several_peft_runs_counts(tmp_path):
    write(tmp_path / "a", training(day=3, accuracy=0.3))
    write(tmp_path / "b", training(day=2, accuracy=0.2))
    assert [one.seed_results[0].metrics["accuracy"] for one in read(tmp_path)] == [0.3]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        (
            "adapter_config.json",
            '{"r": 8}',
            "neither a result of pytest-ftcompare nor one of PEFT's",
        ),
        ("half.json", RESULT.to_json()[:100], "not JSON"),
        ("list.json", "[]", "neither"),
        ("newer.json", RESULT.to_json().replace('"schema": 1', '"schema": 99'), "newer schema"),
        ("theirs.json", '{"run_info": {}, "train_info": {}}', "lacks"),
        ("bytes.json", b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_file_that_is_no_result_is_one_sentence_with_its_place(tmp_path, name, text, sentence):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FolderError, match=sentence) as raised:
        read(tmp_path)
    assert name in str(raised.value)


def test_a_folder_that_is_none_or_empty_is_one_sentence(tmp_path):
    with pytest.raises(FolderError, match="found nothing there"):
        read(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="found a file there"):
        read(tmp_path / "file")
    with pytest.raises(FolderError, match=r"expected results \(\*.json\)"):
        read(tmp_path)


def test_one_case_twice_is_one_sentence(tmp_path):
    for name in ("a", "b"):
        store(tmp_path / name, RESULT)
    with pytest.raises(FolderError, match=f"of the same case, {RESULT.id}"):
        read(tmp_path)


def test_a_case_is_paired_with_its_own_device_else_the_cpu():
    gpu = replace(RESULT, environment={**RESULT.environment, "device": "nvidia-h200"})
    assert result_folders.pair_results([RESULT, gpu], [gpu]).both == [(gpu, gpu)]
    assert result_folders.pair_results([RESULT], [gpu]).both == [(RESULT, gpu)]
    assert compare(RESULT, gpu).verdict == "same"


def test_cases_of_one_folder_are_listed_and_no_common_case_is_an_error():
    others = [replace(RESULT, id=name) for name in ("a", "b")]
    found = result_folders.pair_results([RESULT, others[0]], [RESULT, others[1]])
    assert (len(found.both), found.only_old, found.only_new) == (1, ["a"], ["b"])
    with pytest.raises(FolderError, match=r"none in common \(a, ... and b, ...\)"):
        compare_suites(others[:1], others[1:])


def lower(by):
    samples = [
        make_seed_result(seed, score - by, trace="other") for seed, score in enumerate(SCORES)
    ]
    return make_result(
        SCORES, seed_results=samples, environment={**RESULT.environment, "torch": "2.14.0"}
    )


def test_a_finished_result_is_judged_on_all_its_seeds():
    assert compare(RESULT, RESULT).identical
    found = compare(RESULT, lower(0.15))
    assert (found.verdict, found.seeds) == ("worse", 8)
    assert [str(one) for one in found.changes] == ["torch 2.13.0 -> 2.14.0"]


def test_other_experiments_and_other_seeds_are_incomparable():
    assert compare(RESULT, replace(RESULT, fingerprint="other")).verdict == "incomparable"
    other = replace(
        RESULT, seed_results=[replace(one, seed=one.seed + 50) for one in RESULT.seed_results]
    )
    assert compare(RESULT, other).notes == ["the two results have no seed in common"]


def test_two_suites_give_a_verdict_for_each_case_and_one_for_all():
    same = [replace(RESULT, id=f"full-task-{index}") for index in range(3)]
    assert not compare_suites(same, same).failed
    found = compare_suites(same, [*same[:2], replace(lower(0.15), id=same[2].id)])
    assert [one.verdict for one in found.verdicts] == ["same", "same", "worse"]
    assert found.failed


def test_counts_are_compared_on_one_device_only():
    before = replace(RESULT, signature={**RESULT.signature, "execution": {"peak bytes": 100}})
    after = replace(before, signature={**RESULT.signature, "execution": {"peak bytes": 120}})
    assert compare(before, after).verdict == "worse"
    elsewhere = replace(after, environment={**RESULT.environment, "device": "nvidia-h200"})
    assert compare(before, elsewhere).costs == []


def test_a_result_of_ours_and_one_of_pefts_are_incomparable(tmp_path):
    (theirs,) = read(write(tmp_path, training()))
    json.dumps(compare(RESULT, theirs).to_dict())
    assert compare(RESULT, theirs).verdict == "incomparable"
