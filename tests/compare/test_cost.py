"""Timed windows against a baseline's: what is called worse, what is not compared and why, when another window is taken."""

import random
from math import exp

import pytest
from results import make_result

from pytest_ftcompare.compare.cost import KEPT, METRICS, WINDOWS, alone, another, timed
from pytest_ftcompare.compare.environment import Difference
from pytest_ftcompare.result import Window

STEP = 0.030


def window(step=1.0, yardstick=1.0, **changes):
    """A window whose step took so many times its usual seconds, on a machine whose yardstick took so many times its own."""
    return Window(times={"step": [STEP * step, 2.5 * step / yardstick]}, **changes)


def held(base, new, *changes):
    found = timed(make_result([0.8], windows=base), make_result([0.8], windows=new), list(changes))
    return {one.metric: one for one in found}


def outcome(base, new, *changes):
    return held(base, new, *changes)["step"].outcome


STILL = [window(1.004), window(0.997), window(1.0)]


def test_the_same_times_are_held_after_one_window():
    assert outcome(STILL, [window(1.003)]) == "held"


@pytest.mark.parametrize(("step", "expected"), [(1.06, "worse"), (0.94, "better")])
def test_more_or_less_time_is_found_when_the_windows_agree(step, expected):
    reading = held(STILL, [window(step), window(step * 1.003), window(step * 0.998), window(step)])["step"]
    assert reading.outcome == expected
    assert reading.change == pytest.approx(step - 1, abs=0.003)
    assert (reading.unit, reading.how) == ("s", "yardsticks")
    assert reading.base == pytest.approx(STEP, rel=0.01)


def test_one_slow_window_is_not_enough_and_asks_for_another():
    assert outcome(STILL, [window(1.5)]) == "open"
    assert another(make_result([0.8], windows=STILL), make_result([0.8], windows=[window(1.5)]), update=False)


def test_a_busy_machine_cancels_in_yardsticks():
    assert outcome(STILL, [window(1.6, yardstick=1.6)]) == "held"


def test_with_another_torch_the_yardstick_is_another_and_seconds_are_compared_with_a_wider_margin():
    torch = Difference("torch", "2.12.0", "2.13.0")
    reading = held(STILL, [window(1.3, yardstick=1.3)] * 4, torch)["step"]
    assert (reading.outcome, reading.how) == ("worse", "seconds")
    assert outcome(STILL, [window(1.05)] * 4, torch) != "worse"


def test_with_another_instruction_set_yardsticks_are_compared_with_a_wider_margin():
    other = Difference("instruction set", "AVX512", "AVX2")
    assert outcome(STILL, [window(1.05)] * 4, other) != "worse"
    reading = held(STILL, [window(1.3)] * 4, other)["step"]
    assert (reading.outcome, reading.how) == ("worse", "yardsticks")


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ([Difference("threads", "1", "2")], "threads 1 -> 2"),
        ([Difference("cpu", "AMD EPYC", "Intel Xeon")], "cpu AMD EPYC -> Intel Xeon"),
        (
            [Difference("torch", "1", "2"), Difference("instruction set", "AVX512", "AVX2")],
            "another torch with another instruction set",
        ),
    ],
)
def test_what_cannot_be_compared_says_why(changes, note):
    reading = held(STILL, [window(2.0)], *changes)["step"]
    assert (reading.outcome, reading.note) == ("incomparable", note)
    assert reading.new == pytest.approx(2 * STEP)


def test_a_disturbed_window_is_not_judged_and_its_reason_is_told():
    reading = held(STILL, [window(3.0, disturbed="the GPU was throttled (hw thermal)")])["step"]
    assert (reading.outcome, reading.note) == ("incomparable", "the GPU was throttled (hw thermal)")


def test_a_disturbed_window_is_taken_again_but_not_for_ever():
    baseline, bad = make_result([0.8], windows=STILL), window(3.0, disturbed="throttled")
    assert another(baseline, make_result([0.8], windows=[bad]), update=False)
    assert not another(baseline, make_result([0.8], windows=[bad, window()]), update=False)
    assert not another(baseline, make_result([0.8], windows=[bad] * WINDOWS), update=False)


def test_a_disturbed_window_of_the_baseline_does_not_count():
    assert outcome([*STILL, window(2.0, disturbed="throttled")], [window()]) == "held"


def test_a_baseline_takes_its_windows_disturbed_ones_apart():
    base = make_result([0.8])
    assert another(None, replaced(base, STILL[: KEPT - 1]), update=True)
    assert not another(None, replaced(base, STILL[:KEPT]), update=True)
    assert another(None, replaced(base, [window(disturbed="x")] * KEPT), update=True)
    assert not another(None, replaced(base, [window(disturbed="x")] * 2 * KEPT), update=True)


def replaced(result, windows):
    return make_result([0.8], windows=list(windows), id=result.id)


def test_without_a_baseline_one_window_is_taken_to_be_shown():
    assert another(None, make_result([0.8]), update=False)
    assert not another(None, make_result([0.8], windows=[window()]), update=False)


def test_a_baseline_without_windows_is_said_to_have_none():
    assert held([], [window()])["step"].note == "its baseline has no undisturbed reading: --update-baselines on a quiet machine"


def test_what_could_not_be_read_says_why():
    unread = {"joules per 1000 examples": "no NVIDIA driver"}
    reading = held(STILL, [window(unread=unread)])["joules per 1000 examples"]
    assert (reading.outcome, reading.note) == ("incomparable", "no NVIDIA driver")


@pytest.mark.parametrize(
    "name", ["allocated bytes, training", "reserved bytes, training", "process bytes, evaluation", "joules per 1000 examples"]
)
def test_memory_and_energy_are_held_within_their_margin_and_found_beyond_it(name):
    margin = METRICS[name].margin
    base = [window(readings={name: 1e9})] * KEPT
    assert held(base, [window(readings={name: 1e9 * (1 + margin / 5)})])[name].outcome == "held"
    assert held(base, [window(readings={name: 1e9 * (1 + 2 * margin)})] * WINDOWS)[name].outcome == "worse"
    assert held(base, [window(readings={name: 1e9 * (1 - 2 * margin)})] * WINDOWS)[name].outcome == "better"


def test_another_power_limit_makes_time_and_energy_incomparable_but_not_memory():
    readings = {"joules per 1000 examples": 5.0, "allocated bytes, training": 1e9}
    base = [window(readings=readings, state={"power_limit": 700.0})] * KEPT
    found = held(base, [window(readings=readings, state={"power_limit": 500.0})])
    assert found["step"].note == found["joules per 1000 examples"].note == "power limit 700.0 W -> 500.0 W"
    assert found["allocated bytes, training"].outcome == "held"


def test_windows_that_read_different_things_are_compared_by_what_both_read():
    name = "process bytes, training"
    base = [window(readings={name: 1e9}), window(unread={name: "the driver does not answer"})]
    found = held(base, [window(unread={name: "x"}), window(readings={name: 1e9})])
    assert found[name].outcome == "held"
    assert found[name].base == 1e9


def test_a_reading_of_nothing_is_not_compared():
    name = "joules per 1000 examples"
    assert held([window(readings={name: 5.0})], [window(readings={name: 0.0})])[name].note == "it read nothing"


def test_a_gpus_times_are_compared_whatever_its_host():
    environment = {"device": "nvidia-h200"}
    base = make_result([0.8], windows=STILL, environment=environment)
    new = make_result([0.8], windows=[window(1.06)] * 4, environment=environment)
    (reading,) = timed(base, new, [Difference("cpu", "a", "b")])
    assert reading.outcome == "worse"


def test_what_a_case_costs_alone_is_what_it_read():
    found = {one.metric: one for one in alone(make_result([0.8], windows=[window()], signature={"execution": {"flops": 9}}))}
    assert (found["step"].new, found["step"].outcome, found["flops"].new) == (STEP, "new", 9)


def test_noise_alone_is_never_called_worse_and_a_loss_is_found_by_its_size():
    """The rule on made-up runs with the noise that it assumes, all windows of a run sharing that of their process."""
    rng, noise = random.Random(0), METRICS["step"]

    def process(loss=1.0):
        shared = rng.gauss(0, noise.between)
        return lambda: window(loss * exp(shared + rng.gauss(0, noise.within)))

    def drawn(loss):
        base, new = process(), process(loss)
        baseline = make_result([0.8], windows=[base() for _ in range(KEPT)])
        candidate = make_result([0.8], windows=[])
        while another(baseline, candidate, update=False):
            candidate.windows.append(new())
        return timed(baseline, candidate, [])[0].outcome

    assert sum(drawn(1.0) == "worse" for _ in range(2000)) <= 1
    assert sum(drawn(1.05) == "worse" for _ in range(2000)) >= 1000
    assert sum(drawn(1.08) == "worse" for _ in range(2000)) >= 1980
