"""Results from PEFT's `method_comparison`, and the weaker verdicts of one run against one."""

import copy
import json
import math

import pytest
from method_comparison import generation, training

from pytest_ftcompare.compare import single_run
from pytest_ftcompare.compare.compare_results import compare, compare_pairs
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.results import peft_files
from pytest_ftcompare.results.result import Result, ResultError


def result(**changes):
    return peft_files.read(training(**changes), "file")


def test_a_run_of_today_is_read():
    found = result()
    assert (found.id, found.suite, found.judge_accuracy, found.broken_invariants) == (
        "lora/tiny-rank32",
        "MetaMathQA",
        True,
        [],
    )
    assert found.seed_results[0].metrics == {
        "accuracy": 0.5,
        "train loss": 0.601,
        "forgetting": 0.3,
    }
    assert found.seed_results[0].trace.curve == [0.901, 0.601]
    assert found.windows[0].times == {"training": [1801.0, 0.0]}
    assert found.windows[0].readings["reserved bytes, peak"] == 22e9
    assert found.signature["structure"] == {"trainable": 9_000_000, "parameters": 3_000_000_000}
    assert found.environment["peft"] == "0.15.2"
    assert found.environment["device"] == "NVIDIA L40S"
    assert found.environment["data gsm8k"] == "b" * 12


def test_a_run_of_2025_is_read_under_its_other_names():
    data = training()
    for name in ("memory_reserved_avg", "memory_max", "memory_reserved_99th"):
        data["train_info"][f"cuda_{name}"] = data["train_info"].pop(f"accelerator_{name}")
    data["meta_info"]["system_info"]["gpu"] = data["meta_info"]["system_info"].pop("accelerator")
    for name in ("num_trainable_params", "num_total_params"):  # of before June 2025
        del data["train_info"][name]
    found = peft_files.read(data, "file")
    assert found.windows == result().windows
    assert found.environment == result().environment
    assert compare(result(day=2), found).verdict == "same"


def test_an_image_generation_is_read_and_its_outcome_not_judged():
    data = training()
    config = data["run_info"]["train_config"]
    config["dino_model_id"] = config.pop("query_template")
    data["train_info"]["metrics"][-1] = {
        "step": 9,
        "test dino_similarity": 0.7,
        "drift": 0.2,
        "train loss": 0.7,
    }
    data["meta_info"]["dataset_info"] = {"sha": "c" * 40, "created_at": "2029-01-01"}
    found = peft_files.read(data, "file")
    assert (found.suite, found.judge_accuracy) == ("image-gen", False)
    assert found.seed_results[0].metrics["dino similarity"] == 0.7
    assert found.environment["data"] == "c" * 12
    worse = copy.deepcopy(data)
    worse["train_info"]["metrics"][-1]["test dino_similarity"] = 0.1
    assert compare(found, peft_files.read(worse, "file")).verdict == "same"


def test_a_text_generation_is_read_by_its_files_name():
    found = peft_files.read(generation(), "lora--rank8")
    assert (found.id, found.suite, found.judge_accuracy) == (
        "lora/rank8",
        "text_generation_benchmark",
        False,
    )
    assert found.windows[0].times == {"token": [0.02, 0.0]}
    assert found.windows[0].readings == {"allocated bytes, peak": 512.0 * 2**20}
    slow = compare(found, peft_files.read(generation(0.06), "lora--rank8"))
    assert (slow.verdict, slow.costs[-1].metric) == ("worse", "token")


def test_an_imported_result_survives_its_json():
    found = result()
    assert Result.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda data: data["train_info"].pop("metrics"), "lacks 'metrics'"),
        (
            lambda data: data["train_info"]["metrics"][-1].pop("test accuracy"),
            "lacks 'test accuracy'",
        ),
        (
            lambda data: data["run_info"]["train_config"].pop("query_template"),
            "study is unknown here",
        ),
        (lambda data: data.update(meta_info=3), "fields are not those"),
    ],
)
def test_a_file_that_lacks_something_is_one_sentence(spoil, sentence):
    data = training()
    spoil(data)
    with pytest.raises(ResultError, match=sentence):
        peft_files.read(data, "file")


def test_a_checkpoint_that_could_not_be_saved_has_no_size():
    assert "checkpoint bytes" not in result(file_size=peft_files.NOT_SAVED).windows[0].readings


@pytest.mark.parametrize(
    ("accuracy", "verdict"),
    [(0.46, "worse"), (0.475, "undecided"), (0.495, "same"), (0.5, "same"), (0.54, "better")],
)
def test_one_run_shows_only_large_shifts(accuracy, verdict):
    found = compare(result(), result(accuracy=accuracy, day=2))
    assert found.verdict == verdict
    assert found.comparisons[0].error == pytest.approx(math.sqrt(2) * single_run.ACCURACY_SD)


def test_one_run_against_itself_says_so():
    assert compare(result(), result()).notes == [single_run.SAME_RUN]


def test_another_configuration_is_another_experiment():
    found = compare(
        result(), result(day=2, accuracy=0.1, train_config={"optimizer_kwargs": {"lr": 0.001}})
    )
    assert found.verdict == "incomparable"
    assert found.notes == ['another experiment: optimizer_kwargs {"lr": 0.0001} -> {"lr": 0.001}']
    assert (
        compare(result(), result(day=2, peft_config={"use_rslora": True})).verdict == "incomparable"
    )


def test_what_a_newer_version_adds_is_not_another_experiment():
    newer = {
        "target_modules": ["q_proj", "v_proj"],
        "use_dora": False,
        "eva_config": None,
        "peft_version": "0.19.0",
        "new": 16,
    }
    found = compare(
        result(), result(day=2, peft_config=newer, package_info={"peft-version": "0.19.0"})
    )
    assert found.verdict == "same"
    assert found.notes == ["settings that one side does not know: new 16"]
    assert [str(one) for one in found.changes] == ["peft 0.15.2 -> 0.19.0"]


def test_a_run_that_failed_is_invalid_and_nothing_to_compare_with():
    failed = result(day=2, status="canceled", error_msg="out of memory", metrics=[])
    found = compare(result(), failed)
    assert (found.verdict, found.divergences) == (
        "invalid",
        ["invariant: the run ended as canceled: out of memory"],
    )
    assert compare(failed, result()).verdict == "incomparable"


def test_another_number_of_trained_parameters_is_changed():
    found = compare(result(), result(day=2, num_trainable_params=1))
    assert (found.verdict, found.divergences) == ("changed", ["trainable 9000000 -> 1"])


@pytest.mark.parametrize(
    ("memory", "verdict"), [(22_100_000_000, "same"), (22_600_000_000, "worse"), (20e9, "better")]
)
def test_memory_fails_at_little_more_than_its_noise(memory, verdict):
    assert compare(result(), result(day=2, accelerator_memory_max=memory)).verdict == verdict


def test_on_another_gpu_memory_and_time_are_not_compared():
    found = compare(
        result(), result(day=2, gpu="NVIDIA H100", accelerator_memory_max=1, train_time=9000.0)
    )
    assert found.verdict == "same"
    assert {one.outcome for one in found.costs if one.metric != "checkpoint bytes"} == {
        "incomparable"
    }


def suite(times, **changes):
    return [
        (
            result(name=f"lora/{index}", day=1),
            result(name=f"lora/{index}", day=2, train_time=time, **changes),
        )
        for index, time in enumerate(times)
    ]


def test_a_slowdown_that_all_cases_share_fails_none():
    shared = compare_pairs(suite([2300.0] * 6))
    assert {one.verdict for one in shared.verdicts} == {"same"}
    outlier = compare_pairs(suite([2300.0] * 5 + [2900.0]))
    assert [one.verdict for one in outlier.verdicts] == ["same"] * 5 + ["worse"]
    assert "beside the suite's +27.7%" in next(
        one.how for one in outlier.verdicts[-1].costs if one.metric == "training"
    )


def test_a_shift_too_small_for_any_case_is_found_over_many():
    drops = [0.008 + 0.002 * (index % 8) for index in range(36)]
    pairs = [
        (result(name=f"lora/{index}"), result(name=f"lora/{index}", accuracy=0.5 - drop, day=2))
        for index, drop in enumerate(drops)
    ]
    found = compare_pairs(pairs)
    assert "worse" not in {one.verdict for one in found.verdicts}
    assert [(one.metric, one.outcome) for one in found.shifts] == [("accuracy", "worse")]
    assert found.failed


def test_reruns_of_a_whole_suite_pass():
    pairs = [
        (
            result(name=f"lora/{index}"),
            result(name=f"lora/{index}", accuracy=0.5 + 0.006 * math.sin(index), day=2),
        )
        for index in range(36)
    ]
    found = compare_pairs(pairs)
    assert not found.failed
    assert {one.verdict for one in found.verdicts} == {"same"}


def test_the_json_of_a_verdict_is_plain():
    found = compare(result(), result(day=2, accuracy=0.4))
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert CaseVerdict.from_dict(json.loads(text)) == found


def test_a_long_setting_is_cut_in_its_note():
    ranks = {f"model.layers.{number}.self_attn.q_proj": 6 for number in range(40)}
    (note,) = compare(result(), result(day=2, peft_config={"rank_pattern": ranks})).notes
    assert 'rank_pattern {"model.layers.0.self_attn.q_proj": 6' in note
    assert "whole in its JSON file" in note
    assert len(note) < 250
