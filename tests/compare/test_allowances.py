"""Allowances beside verdicts: what they cover, what they leave out of the pooled test, and when."""

from dataclasses import replace
from datetime import date

import pytest
from make_results import make_result

from pytest_ftcompare.compare import verdict as verdict_module
from pytest_ftcompare.compare.allowances import apply, sum_up
from pytest_ftcompare.compare.measured_cost import CostComparison
from pytest_ftcompare.compare.sequential_test import ScoreComparison
from pytest_ftcompare.compare.session_verdict import SessionVerdict
from pytest_ftcompare.compare.verdict import (
    IDENTICAL,
    OTHER_DEVICE,
    CaseVerdict,
    JudgingCriteria,
    NeedMoreSeeds,
    judge,
)
from pytest_ftcompare.results.allowance import Allowance

TODAY = date(2030, 6, 15)
SCORES = [0.80, 0.82, 0.78, 0.81, 0.79, 0.80, 0.83, 0.77]
ALLOWANCE = Allowance("lora-*", "*", "accuracy", 0.05, "Ann", "why", "link", "2030-06-15")
LR = "recipe lr 0.1 -> 0.2"


def score(delta=-0.04, outcome="worse", metric="accuracy"):
    return ScoreComparison(
        metric, 0.8, 0.02, 0.8 + delta, 0.02, delta, 0.005, 0.02, 14.0, 0.5, 0.01, 0.04, 8, outcome
    )


def cost(change, outcome, metric="peak bytes"):
    return CostComparison(metric, "B", 100.0, 100 * (1 + change), change, "exact", outcome)


def case(verdict="worse", name="lora-a", **changes):
    return CaseVerdict(name, "few_shot", verdict, 8, **{"comparisons": [score()]} | changes)


def applied(verdict, *changes, today=TODAY, timed=True):
    allowances = [replace(ALLOWANCE, **change) for change in changes or ({},)]
    return apply(verdict, allowances, today, timed=timed)


def states(verdict):
    return [one.state for one in verdict.allowances]


def test_a_case_that_no_entry_names_stays_as_it_is():
    other = case(name="full-a")
    assert applied(other) is other and other.fails
    assert not applied(case(), {"suite": "another"}).allowances


@pytest.mark.parametrize(
    ("limit", "state"), [(0.05, "covers"), (0.04, "covers"), (0.0399, "exceeded")]
)
def test_a_score_is_covered_up_to_its_limit(limit, state):
    verdict = applied(case(), {"at_most": limit})
    assert states(verdict) == [state]
    assert verdict.allowances[0].size == 0.04
    assert (verdict.allowed, verdict.fails) == (state == "covers", state != "covers")


def test_a_loss_that_is_not_a_number_is_beyond_every_limit():
    assert states(applied(case(comparisons=[score(delta=float("nan"))]))) == ["exceeded"]


@pytest.mark.parametrize(("day", "allowed"), [(15, True), (16, False)])
def test_it_ends_after_its_last_day(day, allowed):
    verdict = applied(case(), today=date(2030, 6, day))
    assert verdict.allowed == allowed
    assert states(verdict) == ["covers" if allowed else "expired"]


@pytest.mark.parametrize(
    "more",
    [
        {"comparisons": [score(), score(metric="accuracy_ood")]},
        {"costs": [cost(0.2, "worse")]},
        {"costs": [cost(-0.2, "changed")]},
        {"divergences": [LR], "levels": ["recipe"]},
    ],
    ids=["score", "worse cost", "changed cost", "divergence"],
)
def test_whatever_else_moved_fails_the_case(more):
    verdict = applied(case(**more))
    assert verdict.fails and len(verdict.uncovered) == 1
    what = verdict.uncovered[0]
    limit = "*" if what == "recipe" else 0.2
    assert applied(case(**more), {}, {"what": what, "at_most": limit}).allowed


def test_a_score_that_is_not_judged_needs_no_entry():
    verdict = case("changed", costs=[cost(0.005, "changed")], judge_accuracy=False)
    assert applied(verdict, {"what": "peak bytes"}).allowed


@pytest.mark.parametrize(
    ("sentence", "state"),
    [(LR, "covers"), ("recipe lr*", "covers"), ("recipe lr 0.1 -> 0.15", "exceeded")],
)
def test_a_divergence_is_covered_by_its_sentence(sentence, state):
    verdict = case("changed", comparisons=[], divergences=[LR], levels=["recipe"])
    verdict = applied(verdict, {"what": "recipe", "at_most": sentence})
    assert (states(verdict), verdict.allowances[0].size) == ([state], LR)
    assert verdict.allowed == (state == "covers")


def test_a_second_divergence_of_the_level_is_not_covered_by_the_firsts_entry():
    both = [LR, "recipe epochs 3 -> 4"]
    verdict = case("changed", comparisons=[], divergences=both, levels=["recipe"] * 2)
    first, second = ({"what": "recipe", "at_most": text} for text in both)
    assert applied(verdict, first).uncovered == ["recipe"]
    assert states(applied(verdict, first, second)) == ["covers", "covers"]


@pytest.mark.parametrize("verdict", ["invalid", "new", "incomparable"])
def test_what_is_not_judged_is_neither_covered_nor_unneeded(verdict):
    found = applied(case(verdict, comparisons=[], divergences=["x"]))
    assert states(found) == ["open"] and not found.allowed
    assert found.fails == case(verdict).fails


@pytest.mark.parametrize(
    ("what", "verdict", "state"),
    [
        ("accuracy", case("same", comparisons=[score(-0.01, "equivalent")]), "idle"),
        ("accuracy", case("undecided", comparisons=[score(-0.01, "open")]), "open"),
        (
            "accuracy",
            case("same", comparisons=[score(-0.01, "open")], notes=[IDENTICAL]),
            "idle",
        ),
        ("accuracy_ood", case("same", comparisons=[score(0.0, "equivalent")]), "idle"),
        ("accuracy_ood", case("same", comparisons=[]), "open"),
        ("step", case("same"), "open"),
        # A method that does not train has other times, but no step.
        ("step", case("same", costs=[cost(0.0, "equivalent", "evaluation")]), "idle"),
        ("step", case("same", costs=[cost(0.0, "equivalent", "peak bytes")]), "open"),
        # Only a GPU's windows read its memory.
        (
            "allocated bytes, training",
            case("same", costs=[cost(0.0, "equivalent", "step")]),
            "open",
        ),
        ("peak bytes", case("same", costs=[cost(0.0, "equivalent")]), "idle"),
        ("peak bytes", case("same", costs=[cost(0.0, "incomparable")]), "open"),
        ("loss curve", case("same"), "idle"),
        ("loss curve", case("same", notes=[OTHER_DEVICE]), "open"),
        ("recipe", case("same", notes=[OTHER_DEVICE]), "idle"),
        ("loss curve", case("same", first_divergence="loss curve"), "open"),
    ],
)
def test_what_did_not_move_is_unneeded_only_where_that_is_settled(what, verdict, state):
    assert states(applied(verdict, {"what": what})) == [state]


@pytest.mark.parametrize(
    ("what", "state"), [("step", "idle"), ("accuracy", "open"), ("peak bytes", "open")]
)
def test_a_case_that_is_not_timed_needs_no_entry_for_what_windows_read(what, state):
    assert states(applied(case("same", comparisons=[]), {"what": what}, timed=False)) == [state]


def test_a_verdict_with_allowances_reads_back():
    verdict = applied(case())
    assert CaseVerdict.from_dict(verdict.to_dict()) == verdict


# A shift too small for one case, in ten of them.
MANY = [
    case("same", name=f"lora-{number}-{number}", comparisons=[score(-0.012, "equivalent")])
    for number in range(10)
]


def many(*changes, today=TODAY):
    return [applied(verdict, *changes, today=today) for verdict in MANY]


def test_an_accepted_loss_does_not_fail_the_session():
    assert SessionVerdict(MANY).failed
    assert not SessionVerdict(many()).failed


@pytest.mark.parametrize(
    ("change", "today"),
    [
        ({"what": "accuracy_ood"}, TODAY),
        ({"what": "step"}, TODAY),
        ({"at_most": 0.011}, TODAY),
        ({}, date(2030, 6, 16)),
    ],
    ids=["another score", "a cost", "beyond its limit", "expired"],
)
def test_nothing_else_is_left_out_of_the_pooled_test(change, today):
    assert SessionVerdict(many(change, today=today)).failed


def test_the_other_cases_are_pooled_as_before():
    others = [replace(verdict, id=verdict.id.replace("lora", "full")) for verdict in MANY]
    (shift,) = SessionVerdict([*many(), *others]).shifts
    assert (shift.cases, shift.outcome) == (10, "worse")


KNOWN = [("few_shot", "lora-a"), ("few_shot", "lora-b"), ("few_shot", "full-a")]


def session_state(*verdicts, known=KNOWN, updated=()):
    (found,) = sum_up([ALLOWANCE], verdicts, known=known, updated=updated)
    return found.state, found.cases


def same(name):
    return applied(case("same", name=name, comparisons=[score(0.0, "equivalent")]))


def test_a_session_tells_the_gravest_state():
    covered = applied(case())
    exceeded = applied(case(name="lora-b", comparisons=[score(-0.06)]))
    assert session_state(covered, same("lora-b")) == ("accepted", ["few_shot/lora-a"])
    assert session_state(covered, exceeded) == ("exceeded", ["few_shot/lora-a"])


def test_it_is_unneeded_only_if_all_cases_that_it_names_were_judged():
    assert session_state(same("lora-a"), same("lora-b")) == ("unneeded", [])
    assert session_state(same("lora-a")) == ("open", [])
    assert session_state(same("lora-a"), known=KNOWN[:1]) == ("unneeded", [])
    assert session_state(known=[]) == ("open", [])


def test_an_updated_case_needs_no_entry():
    assert session_state(case(), same("lora-b"), updated={KNOWN[0]}) == ("unneeded", [])


def test_a_loss_that_only_all_cases_together_show_keeps_its_entry():
    known = [(verdict.suite, verdict.id) for verdict in MANY]
    assert session_state(*many(), known=known) == ("open", [])


def test_an_allowed_loss_does_not_settle_another_score(monkeypatch):
    scores = [score(), score(-0.09, "open", "accuracy_ood")]
    monkeypatch.setattr(verdict_module, "_compare_metrics", lambda *_: scores)
    base, candidate = make_result(SCORES), make_result([value - 0.04 for value in SCORES[:5]])

    def judged(allowed):
        criteria = JudgingCriteria(allowed=frozenset(allowed))
        return judge(base, candidate, 8, criteria=criteria)

    assert judged([]).verdict == "worse"
    assert judged(["accuracy"]) == NeedMoreSeeds(8)


def test_an_allowed_case_with_an_open_score_has_no_answer():
    scores = [score(), score(-0.09, "open", "accuracy_ood")]
    verdict = applied(case(comparisons=scores))
    assert verdict.allowed
    assert SessionVerdict([verdict]).failed
    assert not SessionVerdict([applied(case())]).failed
