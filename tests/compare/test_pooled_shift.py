"""Pooled shifts: a small change that many cases share is found, noise is not."""

import math
import random
from dataclasses import replace
from statistics import stdev

import pytest

from pytest_ftcompare.compare.measured_cost import CostComparison
from pytest_ftcompare.compare.pooled_shift import (
    CORRELATION_SAME_ROWS,
    CORRELATION_UNPAIRED,
    MIN_CASES,
    Z_THRESHOLD,
    pool_shifts,
)
from pytest_ftcompare.compare.sequential_test import ScoreComparison
from pytest_ftcompare.compare.session_verdict import SessionVerdict
from pytest_ftcompare.compare.verdict import IDENTICAL, CaseVerdict
from pytest_ftcompare.report.terminal import pooled_shift_lines

NOISE = 0.04
BLANK = ScoreComparison(
    "accuracy", 0.8, NOISE, 0.8, NOISE, 0.0, 0.02, NOISE, 20.0, 0.6, 0.5, 0.12, 3, "equivalent"
)


def case(name, delta, *, error=0.02, rho=0.6, metric="accuracy", group="task-model-n32", **changes):
    """A case whose metric moved by `delta`."""
    comparison = replace(BLANK, metric=metric, delta=delta, error=error, rho=rho)
    return CaseVerdict(
        f"{name}-{group}", "suite", "same", 3, [comparison], training_rows=group, **changes
    )


def drawn(generator, count, shift=0.0, together=CORRELATION_SAME_ROWS, error=0.02, **changes):
    """Cases whose errors share a part."""
    common = generator.gauss(0, math.sqrt(together))
    return [
        case(
            f"m{number}",
            shift + error * (common + generator.gauss(0, math.sqrt(1 - together))),
            error=error,
            **changes,
        )
        for number in range(count)
    ]


def test_a_small_loss_of_every_case_is_one_finding():
    generator = random.Random(0)
    cases = [
        one for group in "abcd" for one in drawn(generator, 15, -0.5 * NOISE, group=f"t-m-{group}")
    ]
    (shift,) = pool_shifts(cases)
    assert shift.outcome == "worse"
    assert shift.mean == pytest.approx(-0.02, abs=0.008)  # two standard errors
    assert shift.size == pytest.approx(shift.mean / NOISE)
    assert shift.low < shift.mean < shift.high < 0
    assert shift.cases == 60 and shift.lower > 40
    assert (
        shift.sentence.startswith("accuracy is 1.5 ")
        and "points lower on average over 60 cases" in shift.sentence
    )
    assert SessionVerdict(cases).failed and SessionVerdict(cases).findings == [shift.sentence]


def test_a_gain_of_every_case_is_reported_and_does_not_fail():
    (shift,) = pool_shifts([case(f"m{number}", 0.03) for number in range(40)])
    assert (shift.outcome, SessionVerdict([case("a", 0.03)] * 40).failed) == ("better", False)
    assert "higher" in shift.sentence


@pytest.mark.parametrize(
    ("together", "rho"), [(CORRELATION_SAME_ROWS, 0.6), (CORRELATION_UNPAIRED, 0.0)]
)
def test_the_error_is_that_of_cases_that_err_together(together, rho):
    generator = random.Random(1)
    shifts = [pool_shifts(drawn(generator, 26, together=together, rho=rho))[0] for _ in range(2000)]
    assert stdev(one.z for one in shifts) == pytest.approx(1, abs=0.15)
    # Beyond 3.5 standard errors: one in two thousand, on both sides.
    assert sum(one.outcome != "none" for one in shifts) <= 4


def test_options_and_models_of_one_task_and_size_draw_the_same_rows():
    options = [case("lora", -0.03, group=f"t-m-n32-r={number}") for number in range(12)]
    same = [replace(one, training_rows="t n32") for one in options]
    z_same, z_others = (abs(pool_shifts(cases)[0].z) for cases in (same, options))
    # The variance of a mean of 12 is (1 + 11 r) / 12 of one's.
    assert (z_others / z_same) ** 2 == pytest.approx((1 + 11 * 0.1) / (1 + 11 * 0.02), rel=0.01)


def test_cases_that_scatter_more_than_their_errors_weigh_less():
    calm = [case(f"m{number}", -0.02) for number in range(20)]
    wild = [case(f"m{number}", -0.02 + (-1) ** number * 0.2) for number in range(20)]
    assert abs(pool_shifts(wild)[0].z) < abs(pool_shifts(calm)[0].z) / 3


def test_a_precise_case_counts_for_more_than_a_noisy_one():
    cases = [
        case("exact", 0.01, error=0.001),
        *(case(f"m{number}", -0.03, error=0.05) for number in range(5)),
    ]
    assert pool_shifts(cases)[0].mean > 0


def test_cases_not_judged_identical_or_too_few_are_not_pooled():
    shown = [case(f"m{number}", -0.1, judge_accuracy=False) for number in range(9)]
    same = [case(f"m{number}", -0.1, notes=[IDENTICAL]) for number in range(9)]
    few = [case(f"m{number}", -0.1) for number in range(MIN_CASES - 1)]
    assert pool_shifts([*shown, *same, *few]) == []


def test_each_metric_has_its_own_shift():
    cases = [case(f"m{number}", -0.03, metric="accuracy_ood") for number in range(30)]
    cases += [case(f"m{number}", 0.001) for number in range(30)]
    assert {one.metric: one.outcome for one in pool_shifts(cases)} == {
        "accuracy_ood": "worse",
        "accuracy": "none",
    }


def timed(change, number=0, metric="step", process=None):
    process = str(number % 2) if process is None else process
    reading = CostComparison(
        metric,
        "s",
        1.0,
        1.0 + change,
        change,
        "yardsticks",
        "equivalent",
        error=0.011,
        process=process,
    )
    return CaseVerdict(f"m{number}-t-m-n32", "suite", "same", 1, costs=[reading], notes=[IDENTICAL])


def test_a_slowdown_that_no_case_shows_is_found_over_all():
    generator = random.Random(2)
    cases = [timed(0.03 + generator.gauss(0, 0.01), number) for number in range(26)]
    (shift,) = pool_shifts(cases)
    assert shift.outcome == "worse"
    assert shift.sentence.startswith("step is 2.7 % slower on average over 26 cases")


@pytest.mark.parametrize(("change", "told"), [(0.5, "50.0 % slower"), (-0.5, "50.0 % faster")])
def test_a_large_change_of_time_is_told_as_a_share(change, told):
    (shift,) = pool_shifts([timed(change, number) for number in range(26)])
    assert shift.sentence.startswith(f"step is {told} on average over 26 cases (26 of them")


def test_a_slowdown_that_one_process_saw_may_be_its_own():
    cases = [timed(0.03, number, process="slow") for number in range(26)]
    (shift,) = pool_shifts(cases)
    assert (shift.outcome, shift.note) == ("noted", "one process alone shows it: run with -n 2")
    assert not SessionVerdict(cases).failed
    assert list(pooled_shift_lines(SessionVerdict(cases))) == [
        f"All cases together, noted, not judged: {shift.sentence} ({shift.note})."
    ]


@pytest.mark.parametrize(
    ("others", "outcome"),
    [([0.03], "noted"), ([0.0] * 4, "noted"), ([0.03] * 2, "worse"), ([0.015] * 6, "worse")],
    ids=["one case", "as before", "two cases", "half"],
)
def test_a_slowdown_needs_cases_of_other_processes_that_show_it(others, outcome):
    cases = [timed(0.04, number, process="slow") for number in range(20)]
    cases += [timed(change, 20 + number, process="other") for number, change in enumerate(others)]
    assert pool_shifts(cases)[0].outcome == outcome


def test_a_machine_that_is_a_little_slower_today_is_not_a_slowdown():
    assert pool_shifts([timed(0.01, number) for number in range(26)])[0].outcome == "none"


def test_a_session_with_too_many_unjudged_cases_fails():
    blind = [replace(case(f"m{number}", 0.0), verdict="undecided") for number in range(2)]
    seen = [case(f"s{number}", 0.0) for number in range(9)]
    unjudged = replace(case("u", 0.0), judge_accuracy=False)
    session = SessionVerdict([*blind, *seen, unjudged])
    assert "2 of 11 cases could not be compared" in session.findings[0]
    assert not SessionVerdict([*blind[:1], *seen]).failed
    assert SessionVerdict([replace(seen[0], verdict="worse")]).failed


def test_the_z_threshold_decides():
    cases = [case(f"m{number}", -0.0072) for number in range(40)]
    below = pool_shifts(cases)[0]
    above = pool_shifts(
        [case(f"m{number}", -0.0072 * 1.1 * Z_THRESHOLD / abs(below.z)) for number in range(40)]
    )[0]
    assert (below.outcome, above.outcome) == ("none", "worse")
