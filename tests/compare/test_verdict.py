"""Verdicts: each can be reached, and seeds are asked for only while the question is open."""

from dataclasses import replace

import pytest
from make_results import make_result, make_seed_result

from pytest_ftcompare.compare.verdict import (
    IDENTICAL,
    CaseVerdict,
    JudgingCriteria,
    NeedMoreSeeds,
    incomparable,
    judge,
    without_baseline,
)

SCORES = [0.80, 0.82, 0.78, 0.81, 0.79, 0.80, 0.83, 0.77]
BASE = make_result(SCORES)
UPGRADED = {**BASE.environment, "torch": "2.14.0"}
ELSEWHERE = {**BASE.environment, "cpu": "another"}


def other(scores, trace="other", first=0.7, **changes):
    """A candidate whose training was not bit-identical; `first` is its first loss."""
    samples = [make_seed_result(seed, score, trace=trace) for seed, score in enumerate(scores)]
    samples = [
        replace(one, trace=replace(one.trace, first_steps=[[first, 1.0], [0.65, 1.1]]))
        for one in samples
    ]
    return make_result(scores, seed_results=samples, **changes)


def settle(candidate_of, terms=None):
    """Give the judge the seeds that it asks for."""
    count = 1
    while isinstance(step := judge(BASE, candidate_of(count), 8, criteria=terms), NeedMoreSeeds):
        assert step.seeds > count
        count = step.seeds
    return step


def test_identical_training_and_predictions_are_the_same_after_one_seed():
    found = judge(BASE, make_result(SCORES[:1]), 8)
    assert (found.verdict, found.seeds, found.notes) == ("same", 1, [IDENTICAL])


def test_an_equivalent_trace_with_like_predictions_is_the_same_after_one_seed():
    found = settle(lambda n: other([one + 0.005 for one in SCORES[:n]], environment=ELSEWHERE))
    assert (found.verdict, found.seeds, found.first_divergence) == ("same", 1, "")


def test_an_equivalent_trace_is_changed_if_nothing_could_round_differently():
    later = {**BASE.environment, "commit": "another"}
    found = settle(lambda n: other([one + 0.005 for one in SCORES[:n]], environment=later))
    assert (found.verdict, found.first_divergence) == ("changed", "loss curve")
    assert "nothing changed" in found.divergences[0]


def test_predictions_that_differ_more_cost_more_seeds():
    def elsewhere(count):
        samples = [make_seed_result(8 - seed, SCORES[seed], trace="other") for seed in range(count)]
        samples = [
            replace(one, seed=seed, training_rows=f"subset-{seed}", predictions_digest="else")
            for seed, one in enumerate(samples)
        ]
        return make_result(SCORES[:count], seed_results=samples, environment=ELSEWHERE)

    found = settle(elsewhere)
    assert found.verdict == "same"
    assert found.seeds > 1


def test_lower_scores_are_worse():
    found = settle(lambda n: other([one - 0.15 for one in SCORES[:n]], environment=ELSEWHERE))
    assert (found.verdict, found.first_divergence) == ("worse", "outcome")
    assert found.comparisons[0].delta == pytest.approx(-0.15, abs=0.01)


def test_higher_scores_under_another_version_are_better():
    found = settle(
        lambda n: other([one + 0.12 for one in SCORES[:n]], first=0.9, environment=UPGRADED)
    )
    assert found.verdict == "better"


def test_another_learning_rate_with_like_scores_is_changed_and_named():
    signature = {"structure": {**BASE.signature["structure"], "trainable": 11}}
    found = settle(lambda n: other(SCORES[:n], signature=signature))
    assert found.verdict == "changed"
    assert found.divergences[0] == "trainable 10 -> 11"


def test_a_changed_trace_under_an_unchanged_environment_is_changed():
    found = settle(lambda n: other(SCORES[:n], first=0.9))
    assert found.verdict == "changed"
    assert "loss at step 1" in found.divergences[0]


def test_a_changed_trace_under_another_version_is_a_note():
    found = settle(lambda n: other(SCORES[:n], first=0.9, environment=UPGRADED))
    assert found.verdict == "same"
    assert "loss at step 1" in found.notes[0]
    assert [str(one) for one in found.changes] == ["torch 2.13.0 -> 2.14.0"]


def test_edited_code_does_not_excuse_a_changed_trace():
    environment = {
        **BASE.environment,
        "methods/full.py": "b",
        "commit": "2",
        "threads": 2,
        "cpu": "another",
    }
    found = settle(lambda n: other(SCORES[:n], first=0.9, environment=environment))
    assert found.verdict == "changed"
    assert "methods/full.py edited" in map(str, found.changes)


def test_equal_predictions_scored_differently_are_changed_after_any_upgrade():
    sample = replace(make_seed_result(0, SCORES[0]), correct=make_seed_result(0, 0.1).correct)
    found = judge(BASE, make_result(SCORES[:1], seed_results=[sample], environment=UPGRADED), 1)
    text = (
        "the same predictions of seed 0 are scored otherwise: "
        "280 of 400 test rows turned right or wrong"
    )
    assert (found.verdict, found.divergences) == ("changed", [text])


def test_a_small_loss_is_undecided_when_the_budget_is_spent():
    found = settle(
        lambda n: other([one - 0.04 for one in SCORES[:n]], first=0.9, environment=UPGRADED),
        JudgingCriteria(alpha_share=0.001),
    )
    assert (found.verdict, found.seeds) == ("undecided", 8)


def test_the_budget_bounds_the_seeds():
    lower = [one - 0.1 for one in SCORES]
    assert judge(BASE, other(lower[:3], first=0.9), 4) == NeedMoreSeeds(4)
    assert isinstance(judge(BASE, other(lower[:4], first=0.9), 4), CaseVerdict)


def test_a_broken_invariant_is_invalid_at_once():
    found = judge(BASE, make_result(SCORES[:1], broken_invariants=["merged differs"]), 8)
    assert (found.verdict, found.divergences[0]) == ("invalid", "invariant: merged differs")


def test_predictions_that_flip_on_another_machine_are_a_note_and_cost_seeds():
    def flipped(count):
        samples = [
            replace(make_seed_result(seed, SCORES[seed]), predictions_digest="else")
            for seed in range(count)
        ]
        return make_result(SCORES[:count], seed_results=samples, environment=UPGRADED)

    found = settle(flipped)
    assert (found.verdict, found.seeds, found.first_divergence) == ("same", 1, "predictions")
    assert found.notes == [
        "predictions of seed 0 differ after identical training: "
        "0 of 400 test rows turned right or wrong"
    ]


def test_a_changed_trace_fails_with_strict():
    found = judge(
        BASE,
        other(SCORES, first=0.9, environment=UPGRADED),
        8,
        criteria=JudgingCriteria(strict=True),
    )
    assert (found.verdict, found.first_divergence) == ("changed", "loss curve")
    assert "loss at step 1" in found.divergences[0]
    assert found.notes == []


def test_a_seed_that_draws_other_rows_is_changed_and_its_scores_are_not_paired():
    samples = [
        replace(make_seed_result(seed, SCORES[seed], trace="other"), training_rows=f"other-{seed}")
        for seed in range(8)
    ]
    found = judge(BASE, make_result(SCORES, seed_results=samples, environment=UPGRADED), 8)
    assert (found.verdict, found.first_divergence) == ("changed", "training rows")
    assert found.divergences == ["other training rows in 8 of 8 seeds: 0, 1, 2, 3, 4, 5, 6, 7"]
    assert found.comparisons[0].rho == 0


def test_an_edited_recipe_is_the_first_divergence():
    found = settle(lambda n: other(SCORES[:n], recipe={"lr": 0.01}))
    assert (found.verdict, found.divergences[0]) == ("changed", "recipe lr 0.001 -> 0.01")


def test_predictions_that_differ_after_identical_training_are_changed():
    sample = replace(make_seed_result(0, SCORES[0]), predictions_digest="else")
    found = judge(BASE, make_result(SCORES[:1], seed_results=[sample]), 1)
    assert found.verdict == "changed"


def test_an_outcome_that_is_not_judged_is_never_worse():
    found = settle(lambda n: other([0.1] * n, judge_accuracy=False, environment=ELSEWHERE))
    assert (found.verdict, found.seeds) == ("same", 1)


def test_on_another_device_the_probe_is_not_compared():
    candidate = other(SCORES, first=0.9, probe={**BASE.probe, "loss": 9.0}, environment=UPGRADED)
    assert judge(BASE, candidate, 8, same_device=False).verdict == "same"
    signature = {"structure": {"trainable": 1}}
    assert (
        judge(BASE, replace(candidate, signature=signature), 8, same_device=False).verdict
        == "changed"
    )


def test_with_a_kernel_fault_between_two_cpus_the_probe_is_not_compared():
    def on(instruction_set):
        return {**BASE.environment, "bitsandbytes": "0.50.2", "instruction set": instruction_set}

    baseline = replace(BASE, identity={"method": "qlora"}, environment=on("AVX512"))
    candidate = replace(
        other(SCORES, probe={**BASE.probe, "loss": 9.0}),
        identity={"method": "qlora"},
        environment=on("AVX2"),
    )
    found = judge(baseline, candidate, 8)
    assert found.verdict == "same"
    assert any("with AVX512 it reads other scales" in note for note in found.notes)
    assert judge(baseline, replace(candidate, environment=on("AVX512")), 8).verdict == "changed"
    worse = other(
        [one - 0.3 for one in SCORES], identity={"method": "qlora"}, environment=on("AVX2")
    )
    assert judge(baseline, worse, 8).verdict == "worse"


def test_without_a_baseline_a_case_is_new_and_with_another_experiments_incomparable():
    assert without_baseline(make_result([0.8])).verdict == "new"
    assert incomparable(make_result([0.8]), "other rows").verdict == "incomparable"


def test_a_verdict_survives_its_json():
    found = settle(lambda n: other([one - 0.15 for one in SCORES[:n]], environment=UPGRADED))
    assert CaseVerdict.from_dict(found.to_dict()) == found
