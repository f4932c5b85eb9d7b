"""Claims with made-up results: coverage of intervals, outcomes at the margin, changed outcomes."""

import json
import math
import random
from dataclasses import replace

import pytest
from make_results import make_result, make_seed_result

from pytest_ftcompare.compare.claims.claim import (
    Claim,
    ClaimVerdict,
    ExpectedRange,
    at_least,
    at_most,
    judge,
    within,
)
from pytest_ftcompare.compare.claims.relations import (
    Arm,
    CountRatio,
    TimeRatio,
    Untestable,
    arm_score,
    difference,
    difference_from_mean,
    gap_change,
    trend,
)
from pytest_ftcompare.results import baseline_store, claim_record
from pytest_ftcompare.results.claim_record import ClaimRecord
from pytest_ftcompare.results.estimate import CONFIDENCE, Estimate

A, B, C = (Arm("few_shot", name) for name in ("full", "lora", "icl"))


def points(value, error=1.0, n=16, freedom=0.0, unit="pt"):
    return Estimate(value, error, n, unit, freedom)


def record(outcome="reproduced", value=3.0, error=1.0, **changes):
    made = ClaimRecord(
        "a",
        "claims",
        "pocket",
        "few-shot",
        "says",
        "source",
        "statistic",
        outcome,
        points(value, error),
        ["c"],
        {},
    )
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("value", "expected", "outcome"),
    [
        (2.0, at_least(0), "reproduced"),  # from 0.04 to 3.96
        (1.9, at_least(0), "undecided"),
        (-1.9, at_least(0), "undecided"),
        (-2.0, at_least(0), "contradicted"),
        (-2.0, at_most(0), "reproduced"),
        (2.0, at_most(0), "contradicted"),
        (1.0, within(3), "reproduced"),
        (1.1, within(3), "undecided"),
        (4.9, within(3), "undecided"),
        (5.0, within(3), "contradicted"),
        (-5.0, within(3), "contradicted"),
    ],
)
def test_an_outcome_needs_the_whole_interval_on_one_side(value, expected, outcome):
    assert expected.outcome(points(value)) == outcome


def test_a_count_is_decided_at_the_margin_itself():
    assert at_most(1.0).outcome(points(1.0, 0.0, unit="×")) == "reproduced"
    assert at_most(1.0).outcome(points(1.0 + 1e-9, 0.0, unit="×")) == "contradicted"


def test_without_known_noise_no_outcome_is_decided_or_changed():
    alone = points(50.0, None, n=1)
    assert alone.interval() == (-math.inf, math.inf)
    assert at_least(0).outcome(alone) == "undecided"
    assert alone.agrees(points(-50.0))


def test_few_degrees_of_freedom_widen_the_interval():
    low, high = points(0.0, 1.0, freedom=7.0).interval()
    assert (low, high) == pytest.approx((-2.3646, 2.3646), abs=1e-4)  # a table's t at 97.5 %


@pytest.mark.parametrize("seeds", [3, 8])
def test_intervals_cover_the_truth_as_often_as_stated(seeds):
    rng, truth, covered, contexts = random.Random(1), 5.0, 0, 2000
    for _ in range(contexts):
        arms = []
        for mean in (0.60 + truth / 100, 0.60):
            arms.append(
                [make_result([rng.gauss(mean, sd) for _ in range(seeds)]) for sd in (0.02, 0.06)]
            )
        low, high = difference(A, B).estimate(arms).interval()
        covered += low <= truth <= high
    noise = math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / contexts)
    assert covered / contexts == pytest.approx(CONFIDENCE, abs=4 * noise + 0.01)


def test_seeds_are_paired_so_shared_noise_does_not_count():
    shared = [0.5, 0.7, 0.6, 0.8]
    better = make_result([one + 0.02 + 0.001 * (at % 2) for at, one in enumerate(shared)])
    found = difference(A, B).estimate([[better], [make_result(shared)]])
    assert found.value == pytest.approx(2.05)
    assert found.error == pytest.approx(0.1 * math.sqrt(1 / 3) / 2)  # of 2.0, 2.1, 2.0, 2.1
    assert (found.n, found.freedom) == (4, pytest.approx(3))


def test_only_seeds_that_both_have_count():
    few = make_result([0.7, 0.8])
    found = difference(A, B).estimate([[few], [make_result([0.6, 0.6, 0.1, 0.1])]])
    assert (found.value, found.n) == (pytest.approx(15.0), 2)
    with pytest.raises(Untestable, match="no seed in common"):
        difference(A, B).estimate([[few], [replace(few, seed_results=[make_seed_result(7, 0.5)])]])


def test_one_seed_gives_no_noise():
    found = difference(A, B).estimate([[make_result([0.7])], [make_result([0.6])]])
    assert (found.error, found.n) == (None, 1)


def test_cells_have_equal_weight_however_many_seeds_they_have():
    many, few = make_result([0.7] * 6), make_result([0.9] * 2)
    base = [make_result([0.6] * 6), make_result([0.6] * 2)]
    assert difference(A, B).estimate([[many, few], base]).value == pytest.approx(20.0)


def test_gaps_trends_and_parts():
    def scores(*means):
        return [[make_result([mean, mean])] for mean in means]

    assert gap_change((A, B), (C, B)).estimate(scores(0.9, 0.6, 0.8, 0.7)).value == pytest.approx(
        20.0
    )
    assert difference_from_mean(A, B, C).estimate(scores(0.9, 0.6, 0.8)).value == pytest.approx(
        20.0
    )
    assert trend([A, B, C]).estimate(scores(0.6, 0.7, 0.8)).value == pytest.approx(20.0)
    assert trend([A, B, C]).estimate(scores(0.6, 0.9, 0.6)).value == pytest.approx(0.0)
    assert arm_score(A, "domain gap").estimate(scores(0.9)).value == pytest.approx(
        30.0
    )  # 0.6 out of domain
    assert arm_score(A, "above majority").estimate(scores(0.9)).value == pytest.approx(40.0)


def test_the_second_classs_accuracy_comes_from_the_class_counts():
    # 200 rows, 100 of each class. 90 + 30 are right. The second class was predicted 40 times: 30
    # right and 10 wrong.
    sample = replace(make_seed_result(0, 0.5, ood=0.6), class_counts={"ood": [160, 40]})
    found = arm_score(A, "accuracy_ood of class 1").estimate(
        [[make_result([], seed_results=[sample, replace(sample, seed=1)])]]
    )
    assert found.value == pytest.approx(30.0)
    with pytest.raises(Untestable, match="as many rows of either class"):
        uneven = make_result([], seed_results=[sample], majority_share={"test": 0.5, "ood": 0.7})
        arm_score(A, "accuracy_ood of class 1").estimate([[uneven]])


def test_a_missing_metric_is_named():
    with pytest.raises(Untestable, match="has no score"):
        arm_score(A, "score").estimate([[make_result([0.5, 0.6])]])


def test_counts_are_ratios_without_noise():
    found = CountRatio("peak bytes", A, B).estimate([{"peak bytes": 30.0}, {"peak bytes": 20.0}])
    assert (found.value, found.error, str(found)) == (1.5, 0.0, "1.5 ×")
    share = CountRatio("trainable", A).estimate([{"trainable": 1.0, "parameters": 1000.0}])
    assert share.value == 0.001


def test_times_know_their_rounds_and_the_noise_between_processes():
    rounds = [(1.0, 2.0), (1.1, 2.0)] * 8
    found = TimeRatio("step", A, B).estimate(rounds, between=0.0)
    assert found.value == pytest.approx(math.sqrt(0.5 * 0.55))
    spread = math.log(1.1) / 2 * math.sqrt(16 / 15)
    assert found.error == pytest.approx(found.value * spread / 4)
    apart = TimeRatio("step", A, B).estimate(rounds, between=0.01)
    assert apart.error == pytest.approx(math.hypot(found.error, found.value * math.sqrt(2) * 0.01))


@pytest.mark.parametrize(
    ("before", "new", "verdict"),
    [
        (None, record(), "new"),
        (record(), record(value=9.0), "held"),
        (record("reproduced", 3.0), record("contradicted", -3.0), "changed"),
        (
            record("reproduced", 3.0),
            record("contradicted", 2.9),
            "changed",
        ),  # never within noise: nothing between them
        (record("reproduced", 6.0), record("undecided", 0.4), "noted"),  # 5.6 = 3.96 joint errors
        (record("undecided", 0.1), record("reproduced", 5.9), "changed"),  # 5.8 = 4.10 joint errors
        (record("undecided", 0.0), record("reproduced", 3.0, error=None), "noted"),
        (record(statistic="another"), record(), "new"),
    ],
)
def test_a_changed_outcome_fails_unless_it_is_within_the_noise_of_both(before, new, verdict):
    assert judge(new, before).verdict == verdict


def test_a_verdict_and_a_record_read_back():
    made = judge(record(), record("undecided"), "cpu", update=True)
    assert ClaimVerdict.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert claim_record.from_json(claim_record.to_json(record())) == record()


def test_the_statistic_names_the_arms_and_the_expected_range():
    lora = Arm("few_shot", "lora", 64, options={"r": 4})
    stated = Claim(
        "a", "few-shot", "says", "source", difference(lora, A, "accuracy_ood"), ExpectedRange(-3, 3)
    )
    assert (
        stated.statistic
        == "accuracy_ood of `lora` (r=4, n=64) − `full`, few_shot: from -3 to +3 pt"
    )


@pytest.mark.parametrize(
    ("spoilt", "sentence"),
    [
        (lambda text: text[: len(text) // 2], "it may be half a file"),
        (lambda text: text.replace('"schema": 1', '"schema": 9'), "newer schema than 1"),
        (lambda text: f"<<<<<<< ours\n{text}", "merge-conflict markers"),
        (lambda text: text.replace('"statement"', '"said"'), "its fields are not those of a claim"),
        (lambda text: text.replace('"name": "a"', '"name": "b"'), "expected the baseline of a in"),
    ],
)
def test_a_spoilt_baseline_is_one_sentence(tmp_path, spoilt, sentence):
    path = tmp_path / "a.json"
    path.write_text(spoilt(claim_record.to_json(record())))
    with pytest.raises(baseline_store.BaselineError, match=sentence):
        baseline_store.read_claim(path, "a")


def test_claims_are_written_with_the_results_and_are_not_taken_for_results(tmp_path):
    baseline_store.write(tmp_path, {"cpu": [make_result([0.5, 0.6])]}, claims={"cpu": [record()]})
    path = baseline_store.path_of_claim(tmp_path, "cpu", "pocket", "a")
    assert baseline_store.read_claim(path, "a") == record()
    assert [one.name for one in baseline_store.result_paths(tmp_path)] == [
        "full-task-model-n16.json"
    ]
    baseline_store.write(tmp_path, {}, [path])
    assert baseline_store.read_claim(path, "a") is None
