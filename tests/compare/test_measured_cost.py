"""Timed windows: what is worse, what is not compared and why, and when a window is taken."""

import math
import random
from dataclasses import replace
from math import exp, expm1

import pytest
from make_results import make_result

from pytest_ftcompare.compare.environment_diff import Difference
from pytest_ftcompare.compare.measured_cost import (
    BASELINE_WINDOWS,
    MAX_WINDOWS,
    are_precise,
    compare_times,
    costs_without_baseline,
    is_suspicious,
    next_window,
    side_by_side,
)
from pytest_ftcompare.compare.same_machine import (
    NO_BASELINE_READING,
    NOTHING_CHANGED,
    why_other_speeds,
    why_times_unjudged,
)
from pytest_ftcompare.results.cost_metrics import METRICS
from pytest_ftcompare.results.result import Window

STEP = 0.030


SPEEDS = {"kernels": 0.02, "dispatch": 0.003, "memory": 0.01, "interpreter": 0.004}
EDITED = Difference("peft", "0.20.0", "0.21.2")  # something changed, so times are judged


def window(step=1.0, kernels=1.0, dispatch=None, process="", machine=None, **changes):
    """A window with a step that took `step` times its usual seconds.

    Yardsticks took `kernels` and `dispatch` times theirs; `machine` slows the other kinds.
    """
    dispatch = kernels if dispatch is None else dispatch
    slower = {"kernels": kernels, "dispatch": dispatch, **(machine or {})}
    speeds = {kind: seconds * slower.get(kind, 1.0) for kind, seconds in SPEEDS.items()}
    times = {"step": [STEP * step, 2.5 * step / kernels, 9.0 * step / dispatch]}
    return Window(times=times, process=process, yardsticks=speeds, **changes)


def windows(*steps):
    """Windows of two processes in turn."""
    return [window(step, process=str(number % 2)) for number, step in enumerate(steps)]


def compared(base, new, *changes, strict=False):
    changes = [EDITED, *changes]
    found = compare_times(
        make_result([0.8], windows=base), make_result([0.8], windows=new), changes, strict=strict
    )
    return {one.metric: one for one in found}


def outcome(base, new, *changes):
    return compared(base, new, *changes)["step"].outcome


STILL = windows(1.004, 0.997, 1.0)


def results(base, new, changed=True):
    """A baseline and a candidate, with another version of peft unless nothing changed."""
    baseline = make_result([0.8], windows=base)
    now = baseline.environment | ({"peft": EDITED.new} if changed else {})
    return baseline, make_result([0.8], windows=new, environment=now)


def test_equal_times_are_equivalent_after_one_window():
    assert outcome(STILL, [window(1.003)]) == "equivalent"


@pytest.mark.parametrize(("step", "expected"), [(1.06, "worse"), (0.94, "better")])
def test_more_or_less_time_is_found_when_the_windows_agree(step, expected):
    reading = compared(STILL, windows(step, step * 1.003, step * 0.998, step))["step"]
    assert reading.outcome == expected
    assert reading.change == pytest.approx(step - 1, abs=0.003)
    assert (reading.unit, reading.how) == ("s", "yardsticks")
    assert reading.base == pytest.approx(STEP, rel=0.01)


def test_one_slow_window_is_not_enough_and_asks_for_another():
    assert outcome(STILL, [window(1.5)]) == "open"
    assert next_window(*results(STILL, [window(1.5)]), update=False) == "fresh"


def test_windows_of_one_process_do_not_confirm_each_other():
    assert outcome(STILL, [window(1.5)] * 3) == "open"
    assert outcome(STILL, windows(1.5, 1.5, 1.5)) == "worse"


def test_a_busier_machine_cancels_in_yardsticks():
    assert outcome(STILL, [window(1.14, kernels=1.14)]) == "equivalent"


@pytest.mark.parametrize("kind", SPEEDS)
@pytest.mark.parametrize("times", [0.6, 1.8])
def test_a_machine_with_other_yardsticks_is_another_machine(kind, times):
    reading = compared(STILL, [window(1.5, machine={kind: times})])["step"]
    assert reading.outcome == "incomparable"
    assert reading.note == f"another machine: the yardstick {kind} takes {times:.2f} times as long"


def test_on_another_machine_no_more_windows_are_taken():
    assert next_window(*results(STILL, [window(1.5, kernels=1.8)]), update=False) is None


def test_a_window_on_another_machine_does_not_count_beside_those_that_were_not():
    reading = compared(STILL, [window(1.0), window(2.0, kernels=1.8, process="1")])["step"]
    assert (reading.outcome, reading.new) == ("equivalent", STEP)


def test_a_baseline_that_does_not_know_its_machine_is_not_compared():
    (old,) = [Window(times=STILL[0].times)]
    assert compared([old], [window()])["step"].note == (
        "its baseline does not say how fast its machine was: --update-baselines"
    )


def test_a_piece_is_slower_only_in_yardsticks_of_every_kind():
    """With equal kernels and 10 % slower dispatch, the expected time is unknown."""
    mixed = [window(1.08, kernels=1.0, dispatch=1.1, process=str(number)) for number in range(4)]
    assert outcome(STILL, mixed) == "equivalent"
    slower = [window(1.2, kernels=1.0, dispatch=1.1, process=str(number)) for number in range(4)]
    reading = compared(STILL, slower)["step"]
    assert reading.outcome == "worse"
    assert reading.change == pytest.approx(1.2 / 1.1 - 1, abs=0.003)


@pytest.mark.parametrize("step", [1.5, 0.5])
def test_if_nothing_changed_another_time_is_noted_and_not_judged(step):
    base, new = results(STILL, [window(step)], changed=False)
    (reading,) = compare_times(base, new, [Difference("commit", "a", "b")])
    assert (reading.outcome, reading.judged) == ("noted", False)
    assert next_window(base, new, update=False) is None


def test_strict_times_are_judged_if_nothing_changed():
    base, new = results(STILL, windows(1.5, 1.5, 1.5), changed=False)
    (reading,) = compare_times(base, new, [], strict=True)
    assert (reading.outcome, reading.judged) == ("worse", True)
    assert (
        next_window(base, make_result([0.8], windows=[window(1.5)]), update=False, strict=True)
        == "fresh"
    )


def test_a_time_that_could_not_be_judged_is_known_before_a_window_is_taken():
    assert why_times_unjudged(*results(STILL, [], changed=False)) == NOTHING_CHANGED
    assert why_times_unjudged(*results(STILL, [], changed=False), strict=True) == ""
    assert why_times_unjudged(*results(STILL, [])) == ""
    for base in ([], [window(disturbed="x")]):
        assert why_times_unjudged(*results(base, [])) == NO_BASELINE_READING


@pytest.mark.parametrize(
    ("name", "value"), [("cpu", "another"), ("threads", 64), ("instruction set", "AVX2")]
)
def test_on_another_machine_no_time_could_be_judged_not_even_strictly(name, value):
    base, new = results(STILL, [])
    base.environment[name], new.environment[name] = "one", value
    for strict in (False, True):
        assert why_times_unjudged(base, new, strict=strict) == f"{name} one -> {value}"


@pytest.mark.parametrize("kind", ["memory", "interpreter"])
@pytest.mark.parametrize(("times", "other"), [(1.1, False), (1.3, True), (0.7, True)])
def test_yardsticks_alone_identify_another_machine_without_a_window(kind, times, other):
    speeds = {
        one: SPEEDS[one] * (times if one == kind else 1.0) for one in ("memory", "interpreter")
    }
    reason = why_other_speeds(
        *results([*STILL, window(1.0, machine={kind: 9.0}, disturbed="x")], []), speeds
    )
    assert reason == (
        f"another machine: the yardstick {kind} takes {times:.2f} times as long" if other else ""
    )


def test_memory_is_judged_if_nothing_changed():
    name = "allocated bytes, training"
    base, new = ([window(readings={name: size})] * 3 for size in (1e9, 2e9))
    found = compare_times(make_result([0.8], windows=base), make_result([0.8], windows=new), [])
    assert {one.metric: one.outcome for one in found}[name] == "worse"


def test_with_another_torch_seconds_are_compared_with_a_wider_margin():
    torch = Difference("torch", "2.12.0", "2.13.0")
    slow = [window(1.3, kernels=1.3, process=str(number)) for number in range(4)]
    reading = compared(STILL, slow, torch)["step"]
    assert (reading.outcome, reading.how) == ("worse", "seconds")
    assert outcome(STILL, windows(1.05, 1.05, 1.05, 1.05), torch) != "worse"


def test_with_another_torch_memory_and_interpreter_identify_the_machine():
    torch = Difference("torch", "2.12.0", "2.13.0")
    reading = compared(STILL, [window(1.3, machine={"memory": 1.3})], torch)["step"]
    assert reading.note == "another machine: the yardstick memory takes 1.30 times as long"


def test_a_name_of_two_different_machines_is_reported():
    base = make_result([0.8], windows=STILL, environment={"machine": "fleet"})
    new = make_result([0.8], windows=[window(1.0, kernels=1.5)], environment={"machine": "fleet"})
    assert compare_times(base, new, [EDITED])[0].note == (
        "FTCOMPARE_MACHINE=fleet names two machines that differ: "
        "the yardstick kernels takes 1.50 times as long"
    )


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ([Difference("threads", "1", "2")], "threads 1 -> 2"),
        ([Difference("cpu", "AMD EPYC", "Intel Xeon")], "cpu AMD EPYC -> Intel Xeon"),
        ([Difference("instruction set", "AVX512", "AVX2")], "instruction set AVX512 -> AVX2"),
        ([Difference("machine", "mine", "theirs")], "FTCOMPARE_MACHINE mine -> theirs"),
        (
            [Difference("python", "3.11.7", "3.12.1")],
            "python 3.11.7 -> 3.12.1: its yardsticks are different",
        ),
    ],
)
def test_a_time_that_cannot_be_compared_has_a_reason(changes, note):
    reading = compared(STILL, [window(2.0)], *changes)["step"]
    assert (reading.outcome, reading.note) == ("incomparable", note)
    assert reading.new == pytest.approx(2 * STEP)


def test_a_disturbed_window_is_not_judged_and_its_reason_is_reported():
    reading = compared(STILL, [window(3.0, disturbed="the GPU was throttled (hw thermal)")])["step"]
    assert (reading.outcome, reading.note) == ("incomparable", "the GPU was throttled (hw thermal)")


def candidate(taken):
    return results(STILL, taken)[1]


def test_a_disturbed_window_is_taken_again_but_not_for_ever():
    baseline, bad = make_result([0.8], windows=STILL), window(3.0, disturbed="throttled")
    assert next_window(baseline, candidate([bad]), update=False) == "here"
    assert next_window(baseline, candidate([bad, window()]), update=False) is None
    assert next_window(baseline, candidate([bad] * MAX_WINDOWS), update=False) is None


def test_a_disturbed_window_of_the_baseline_does_not_count():
    assert outcome([*STILL, window(2.0, disturbed="throttled")], [window()]) == "equivalent"


def test_a_baseline_counts_no_disturbed_window():
    base = make_result([0.8])
    assert next_window(None, base, update=True) == "here"
    assert next_window(None, replaced(base, STILL[: BASELINE_WINDOWS - 1]), update=True) == "fresh"
    assert next_window(None, replaced(base, STILL[:BASELINE_WINDOWS]), update=True) is None
    assert (
        next_window(None, replaced(base, [window(disturbed="x")] * BASELINE_WINDOWS), update=True)
        == "here"
    )
    assert (
        next_window(
            None, replaced(base, [window(disturbed="x")] * 2 * BASELINE_WINDOWS), update=True
        )
        is None
    )


def replaced(result, windows):
    return make_result([0.8], windows=list(windows), id=result.id)


def test_without_a_baseline_one_window_is_taken_to_be_shown():
    assert next_window(None, make_result([0.8]), update=False) == "here"
    assert next_window(None, make_result([0.8], windows=[window()]), update=False) is None


def test_a_baseline_without_windows_is_reported():
    assert (
        compared([], [window()])["step"].note
        == "its baseline has no undisturbed reading: --update-baselines on a quiet machine"
    )


def test_an_unavailable_metric_has_a_reason():
    unavailable = {"joules per 1000 examples": "no NVIDIA driver"}
    reading = compared(STILL, [window(unavailable=unavailable)])["joules per 1000 examples"]
    assert (reading.outcome, reading.note) == ("incomparable", "no NVIDIA driver")
    assert math.isnan(reading.new)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.unit != "s"])
def test_memory_and_energy_are_equivalent_within_their_margin_and_found_beyond(name):
    margin = METRICS[name].margin
    base = [window(readings={name: 1e9})] * BASELINE_WINDOWS
    assert (
        compared(base, [window(readings={name: 1e9 * (1 + margin / 5)})])[name].outcome
        == "equivalent"
    )
    assert (
        compared(base, [window(readings={name: 1e9 * (1 + 2 * margin)})] * MAX_WINDOWS)[
            name
        ].outcome
        == "worse"
    )
    assert (
        compared(base, [window(readings={name: 1e9 * (1 - 2 * margin)})] * MAX_WINDOWS)[
            name
        ].outcome
        == "better"
    )


def test_another_power_limit_makes_time_and_energy_incomparable_but_not_memory():
    readings = {"joules per 1000 examples": 5.0, "allocated bytes, training": 1e9}
    base = [window(readings=readings, device_state={"power_limit": 700.0})] * BASELINE_WINDOWS
    found = compared(base, [window(readings=readings, device_state={"power_limit": 500.0})])
    assert (
        found["step"].note
        == found["joules per 1000 examples"].note
        == "power limit 700.0 W -> 500.0 W"
    )
    assert found["allocated bytes, training"].outcome == "equivalent"


def test_windows_are_compared_by_the_metrics_that_both_have():
    name = "process bytes, training"
    base = [window(readings={name: 1e9}), window(unavailable={name: "the driver does not answer"})]
    found = compared(base, [window(unavailable={name: "x"}), window(readings={name: 1e9})])
    assert found[name].outcome == "equivalent"
    assert found[name].base == 1e9


def test_a_reading_of_nothing_is_not_compared():
    name = "joules per 1000 examples"
    assert (
        compared([window(readings={name: 5.0})], [window(readings={name: 0.0})])[name].note
        == "it read nothing"
    )


def test_memory_is_not_compared_with_another_workspace_of_cublas():
    name = "allocated bytes, training"
    base, new = [window(readings={name: 1e9})], [window(readings={name: 2e9})]
    workspace = Difference("cublas workspace", ":4096:8", ":16:8")
    found = compared(base, new, workspace)
    assert (found[name].outcome, found[name].note) == ("incomparable", str(workspace))
    assert found["step"].outcome == "equivalent"


def test_a_gpus_times_are_compared_whatever_its_host():
    environment = {"device": "nvidia-h200"}
    base = make_result([0.8], windows=STILL, environment=environment)
    new = make_result([0.8], windows=windows(1.06, 1.06, 1.06, 1.06), environment=environment)
    (reading,) = compare_times(base, new, [EDITED, Difference("cpu", "a", "b")])
    assert reading.outcome == "worse"


def test_a_case_without_a_baseline_shows_its_readings():
    found = {
        one.metric: one
        for one in costs_without_baseline(
            make_result([0.8], windows=[window()], signature={"execution": {"flops": 9}})
        )
    }
    assert (found["step"].new, found["step"].outcome, found["flops"].new) == (STEP, "new", 9)


def test_noise_alone_is_never_called_worse_and_a_loss_is_found_by_its_size():
    """Simulated runs have the noise that the rule assumes; windows of a process share a part."""
    rng, noise = random.Random(0), METRICS["step"]

    def process(name, loss=1.0):
        shared = rng.gauss(0, noise.between)
        return lambda: window(loss * exp(shared + rng.gauss(0, noise.within)), process=name)

    def drawn(loss):
        base, other = process("base"), process("other")
        here, fresh = process("here", loss), process("fresh", loss)
        baseline, candidate = results([base(), base(), other()], [])
        while where := next_window(baseline, candidate, update=False):
            candidate.windows.append(here() if where == "here" else fresh())
        return compare_times(baseline, candidate, [EDITED])[0].outcome

    assert sum(drawn(1.0) == "worse" for _ in range(2000)) <= 1
    assert sum(drawn(1.05) == "worse" for _ in range(2000)) >= 1600
    assert sum(drawn(1.08) == "worse" for _ in range(2000)) >= 1980


def turns(change, count=12, between=0.0, rng=None, noise=0.004):
    rng = rng or random.Random(1)
    return [(STEP, STEP * change * exp(between + rng.gauss(0, noise))) for _ in range(count)]


def test_side_by_side_equal_times_are_equivalent_and_a_second_pair_confirms_a_slower_step():
    assert side_by_side({"step": [turns(1.0)]})[0].outcome == "equivalent"
    assert side_by_side({"step": [turns(1.08)]})[0].outcome == "open"
    (reading,) = side_by_side({"step": [turns(1.08), turns(1.08)]})
    assert (reading.outcome, reading.how) == ("worse", "seconds side by side")
    assert reading.change == pytest.approx(0.08, abs=0.005)
    assert side_by_side({"step": [turns(1.08), turns(1.0)]})[0].outcome == "open"


@pytest.mark.parametrize(
    ("change", "error", "outcome", "suspicious"),
    [
        (0.016, 0.007, "open", True),
        (-0.016, 0.007, "open", True),
        (0.014, 0.007, "open", False),  # less than half a margin
        (0.016, 0.009, "open", False),  # less than two standard errors
        (0.016, 0.007, "equivalent", False),
    ],
)
def test_a_second_pair_is_asked_where_it_could_confirm_a_change(change, error, outcome, suspicious):
    (reading,) = side_by_side({"step": [turns(1.0)]})
    reading = replace(reading, change=expm1(change), error=error, outcome=outcome)
    assert is_suspicious(reading) is suspicious


def test_the_side_that_comes_first_makes_no_difference():
    # Each side takes 6 % more when it comes first.
    taken = [
        (1.06 * here, reference) if number % 2 else (here, 1.06 * reference)
        for number, (here, reference) in enumerate(turns(1.0))
    ]
    (reading,) = side_by_side({"step": [taken]})
    assert reading.outcome == "equivalent"
    assert reading.change == pytest.approx(0.0, abs=0.004)
    assert reading.error == pytest.approx(side_by_side({"step": [turns(1.0)]})[0].error, abs=0.0005)


def test_a_few_long_rounds_do_not_make_the_median_noisy():
    taken = turns(1.0, count=100)
    long = [(slow, 2 * fast) for slow, fast in taken[::20]]
    error = side_by_side({"step": [[*taken, *long, *long]]})[0].error
    assert error < 1.05 * side_by_side({"step": [taken]})[0].error


def test_rounds_are_precise_if_more_of_them_would_add_little():
    assert are_precise({"step": turns(1.0)})
    assert not are_precise({"step": turns(1.0, noise=0.03)})
    assert are_precise({"step": turns(1.0, noise=0.03, count=200)})
    # One row's answer differs more between processes, so that its rounds may, too.
    assert are_precise({"inference": turns(1.0, noise=0.03)})
    assert not are_precise({"inference": turns(1.0), "step": turns(1.0, noise=0.03)})


def test_side_by_side_noise_is_never_called_worse_and_five_percent_are_found():
    rng, noise = random.Random(0), METRICS["step"]

    def pair(loss):
        return turns(
            loss, between=rng.gauss(0, noise.between) - rng.gauss(0, noise.between), rng=rng
        )

    def drawn(loss):
        taken = [pair(loss)]
        if is_suspicious(side_by_side({"step": taken})[0]):
            taken.append(pair(loss))
        return side_by_side({"step": taken})[0].outcome

    assert sum(drawn(1.0) == "worse" for _ in range(2000)) <= 1
    assert sum(drawn(1.05) == "worse" for _ in range(2000)) >= 1900


@pytest.mark.parametrize("noise", [0.004, 0.03, 0.06])
def test_to_ask_for_a_second_pair_only_on_suspicion_finds_as_much(noise):
    """Each draw has a second pair, which the rule may not ask for."""
    rng, between = random.Random(0), METRICS["step"].between

    def pair(loss):
        drift = rng.gauss(0, between) - rng.gauss(0, between)
        return turns(loss, between=drift, rng=rng, noise=noise)

    draws = [(pair(1.05), pair(1.05)) for _ in range(2000)]
    found = [both for both in draws if side_by_side({"step": both})[0].outcome == "worse"]
    asked = [both for both in found if is_suspicious(side_by_side({"step": both[:1]})[0])]
    assert len(found) - len(asked) <= 0.01 * len(draws)
    unchanged = [is_suspicious(side_by_side({"step": [pair(1.0)]})[0]) for _ in range(2000)]
    assert sum(unchanged) <= 0.03 * len(unchanged)
