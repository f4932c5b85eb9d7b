"""The timer with a clock that the test moves: what is timed, in which order and unit."""

import gc

import pytest
import torch

from pytest_ftcompare.measure import timer
from pytest_ftcompare.measure.timer import (
    ROUND_SECONDS,
    ROUNDS,
    ClockError,
    Timing,
    Workload,
    time_calls,
    time_pieces,
    time_yardsticks,
)
from pytest_ftcompare.measure.yardstick import INTERLEAVED, KINDS, make_yardsticks


class Machine:
    """A clock that only work moves; `speeds` are the seconds of a unit of work, by reading."""

    def __init__(self, speeds=(1.0,)):
        self.now, self.done, self.speeds = 0.0, [], list(speeds)

    def work(self, name, units):
        def call():
            self.done.append(name)
            self.now += units * (self.speeds.pop(0) if len(self.speeds) > 1 else self.speeds[0])

        return Workload(call)

    def clock(self):
        return self.now


def run(machine, budget=10.0, **pieces):
    yardsticks = {
        "kernels": machine.work("kernels", 0.5),
        "dispatch": machine.work("dispatch", 0.25),
    }
    return time_pieces(pieces, yardsticks, "cpu", budget, machine.clock)


def both(timing):
    return timing.seconds, timing.in_yardsticks("kernels"), timing.in_yardsticks("dispatch")


def test_a_call_is_given_in_seconds_and_in_yardsticks_of_each_kind():
    machine = Machine()
    found = run(machine, step=machine.work("step", 2.0), inference=machine.work("inference", 0.25))
    assert both(found["step"]) == (2.0, 4.0, 8.0)
    assert both(found["inference"]) == (0.25, 0.5, 1.0)


def test_a_machine_that_slows_down_moves_seconds_not_yardsticks():
    slow = Machine([3.0])
    found = run(slow, step=slow.work("step", 2.0))
    assert both(found["step"]) == (6.0, 4.0, 8.0)


def test_each_round_times_the_yardsticks_first_and_then_every_piece():
    machine = Machine()
    run(machine, step=machine.work("step", 2.0), inference=machine.work("inference", 1.0))
    assert machine.done[-4:] == ["kernels", "dispatch", "step", "inference"]


def test_a_short_piece_is_called_often_enough_for_the_clock():
    machine = Machine()
    found = run(machine, short=machine.work("short", ROUND_SECONDS / 3.5))
    assert found["short"].calls == 4
    assert found["short"].seconds == pytest.approx(ROUND_SECONDS / 3.5)


def test_warm_up_is_not_timed():
    machine = Machine([100.0] * 3 + [1.0])
    assert set(run(machine, step=machine.work("step", 2.0))["step"].rounds) == {2.0}


def test_a_window_ends_with_its_budget_but_not_before_a_few_rounds():
    machine = Machine()
    assert len(run(machine, budget=0.0, step=machine.work("step", 2.0))["step"].rounds) == ROUNDS
    machine = Machine()
    assert len(run(machine, budget=50.0, step=machine.work("step", 2.0))["step"].rounds) in range(
        12, 21
    )


def test_preparing_is_not_timed():
    machine = Machine()
    slow = machine.work("ready", 100.0)
    found = run(machine, step=Workload(machine.work("step", 2.0).call, slow.call))
    assert found["step"].seconds == 2.0


def test_the_median_over_rounds_leaves_a_disturbed_round_out():
    timing = Timing(2, [4.0, 4.0, 40.0], {"kernels": [1.0, 1.0, 1.0]})
    assert (timing.seconds, timing.in_yardsticks("kernels")) == (2.0, 2.0)


def test_a_round_in_which_the_clock_was_set_back_is_taken_again():
    readings = iter([5.0, 3.0, 3.0, 4.5])
    assert time_calls(Workload(lambda: None), 1, "cpu", lambda: next(readings)) == 1.5


def test_a_clock_that_always_goes_back_is_refused_in_a_sentence():
    readings = iter(range(100, 0, -1))
    with pytest.raises(ClockError, match="choose another with --benchmark-timer"):
        time_calls(Workload(lambda: None), 1, "cpu", lambda: next(readings))


def test_a_clock_too_coarse_for_a_yardstick_gives_no_yardsticks():
    assert Timing(1, [1.0], {"kernels": [0.0]}).in_yardsticks("kernels") == 0.0


def test_garbage_is_collected_before_and_not_during():
    machine, seen = Machine(), []
    run(
        machine, step=Workload(lambda: (seen.append(gc.isenabled()), machine.work("x", 1.0).call()))
    )
    assert not any(seen)
    assert gc.isenabled()


def test_a_machines_speed_is_the_seconds_of_one_call_of_each_yardstick():
    machine = Machine()
    yardsticks = {
        "memory": machine.work("memory", 2.0),
        "interpreter": machine.work("short", ROUND_SECONDS / 4),
    }
    assert time_yardsticks(yardsticks, "cpu", machine.clock) == pytest.approx(
        {"memory": 2.0, "interpreter": ROUND_SECONDS / 4}
    )


def test_yardsticks_leave_the_callers_random_numbers_alone_and_do_the_same_work_each_time():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    yardsticks = make_yardsticks("cpu")
    assert set(INTERLEAVED) < set(KINDS) == set(yardsticks)
    for work in yardsticks.values():
        work()
        work()
    assert torch.equal(torch.rand(3), expected)


def test_library_objects_are_frozen_once(monkeypatch):
    done = []
    monkeypatch.setattr(timer.gc, "collect", lambda: done.append("collect"))
    monkeypatch.setattr(timer.gc, "freeze", lambda: done.append("freeze"))
    timer.freeze_library_objects.cache_clear()
    for _ in range(2):
        timer.freeze_library_objects()
    assert done == ["collect", "freeze"]
