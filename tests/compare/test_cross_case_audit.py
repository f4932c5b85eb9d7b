"""Audits across cases find each trap of the published study between two results."""

import json
from dataclasses import replace

import pytest
from make_results import make_result, make_seed_result

from pytest_ftcompare.compare.cross_case_audit import CaseSummary, audit_across_cases, budget_notes


def case(
    method="lora",
    shots=2,
    judge_accuracy=True,
    trace=None,
    predictions=None,
    drawn=None,
    seeds=3,
    **options,
):
    """A summary as it reaches the controller; by default traces and predictions are unique."""
    shown = "".join(f"-{name}={value}" for name, value in options.items())
    name = f"{method}-cola-opt-n{shots}{shown}"
    samples = [
        replace(
            make_seed_result(seed, 0.8, trace=trace or name),
            predictions_digest=f"{predictions or name} {seed}",
            rows_drawn={"cola": 2 * shots} if drawn is None else drawn,
        )
        for seed in range(seeds)
    ]
    identity = {
        "method": method,
        "task": "cola",
        "model": "opt",
        "shots": shots,
        "options": options,
    }
    summary = CaseSummary.of(
        make_result(
            [], id=name, seed_results=samples, identity=identity, judge_accuracy=judge_accuracy
        )
    )
    return CaseSummary(**json.loads(json.dumps(summary.to_dict())))


def test_cases_that_differ_pass():
    assert audit_across_cases([case(), case(r=64), case(shots=16), case("full")]) == []


def test_ranks_that_predict_the_same_in_every_row_are_a_sweep_that_changes_nothing():
    ranks = [
        case(r=rank, predictions="of a learning rate that moves nothing") for rank in (2, 8, 64)
    ]
    found = audit_across_cases([*ranks, case("full")])
    assert [one.cases for one in found] == [
        ("lora-cola-opt-n2-r=2", "lora-cola-opt-n2-r=64"),
        ("lora-cola-opt-n2-r=2", "lora-cola-opt-n2-r=8"),
        ("lora-cola-opt-n2-r=64", "lora-cola-opt-n2-r=8"),
    ]
    assert found[1].sentence.startswith(
        "a sweep that changes nothing: expected r 2 -> 8 to tell lora-cola-opt-n2-r=2 and "
        "lora-cola-opt-n2-r=8 apart, they predicted the same in every row of 3 seeds"
    )


def test_an_option_that_does_not_arrive_is_found_with_one_seed_by_the_trace():
    found = audit_across_cases([case(seeds=1, trace="one"), case(seeds=1, trace="one", r=64)])
    assert (
        "expected r the method's own -> 64" in found[0].sentence
        and "trained alike to the last bit" in found[0].sentence
    )


def test_one_seed_that_predicts_the_same_may_be_chance():
    assert (
        audit_across_cases(
            [case(seeds=1, predictions="one"), case(seeds=1, predictions="one", r=64)]
        )
        == []
    )
    assert (
        audit_across_cases(
            [case(seeds=2, predictions="one"), case(seeds=2, predictions="one", r=64)]
        )
        == []
    )


def test_two_methods_that_compute_the_same_are_found():
    assert (
        "expected method full -> lora"
        in audit_across_cases([case("full", trace="one"), case("lora", trace="one")])[0].sentence
    )


def test_methods_that_do_not_train_share_no_trace():
    def untrained(**options):
        return replace(case("icl", **options), traces={})

    assert audit_across_cases([untrained(shots=2), untrained(shots=16)]) == []
    same = [untrained(demonstrations=count, predictions="one") for count in (2, 4)]
    assert "demonstrations 2 -> 4" in audit_across_cases(same)[0].sentence


def test_constant_predictors_pass_without_judged_accuracy_but_equal_traces_fail():
    constant = [case(r=rank, judge_accuracy=False, predictions="one class") for rank in (2, 8)]
    assert audit_across_cases(constant) == []
    assert audit_across_cases([case(r=rank, judge_accuracy=False, trace="one") for rank in (2, 8)])


@pytest.mark.parametrize(
    "other",
    [{"suite": "another"}, {"identity": {"task": "mnli"}}, {"identity": {"model": "llama"}}],
)
def test_cases_of_other_rows_or_suites_are_not_compared(other):
    first, second = case(trace="one"), case(trace="one", r=64)
    changes = {
        name: value if isinstance(value, str) else second.identity | value
        for name, value in other.items()
    }
    assert (
        audit_across_cases([first, second])
        and audit_across_cases([first, replace(second, **changes)]) == []
    )


def test_a_method_that_learned_from_the_whole_corpus_beside_few_shot_ones_is_refused():
    found = audit_across_cases(
        [
            case("full", shots=128, drawn={"cola": 256}),
            case("adaptive", shots=128, drawn={"cola": 261_802}),
        ]
    )
    assert found[0].sentence.startswith(
        "unequal budgets: expected as many rows of cola to learn from with 128 shots each, "
        "adaptive-cola-opt-n128 had 261802, full-cola-opt-n128 had 256"
    )


def test_an_older_baseline_without_row_counts_passes():
    assert audit_across_cases([case("full"), case(drawn={})]) == []


def test_rows_of_other_tasks_are_a_note_and_no_finding():
    extra = case("adapter_fusion", drawn={"cola": 4, "mnli": 128, "cola, unlabelled": 256})
    assert audit_across_cases([case("full"), extra]) == []
    assert budget_notes([case("full"), extra]) == [
        "adapter_fusion-cola-opt-n2 also learned from 256 rows of cola, unlabelled, "
        "128 rows of mnli"
    ]


def test_two_engines_of_a_case_may_compute_the_same():
    loop, trainer = (
        case(trace="one", predictions="one", **options) for options in ({}, {"engine": "trainer"})
    )
    assert audit_across_cases([loop, trainer]) == []
    (found,) = audit_across_cases([trainer, case(r=64, trace="one")])
    assert "expected r the method's own -> 64" in found.sentence
