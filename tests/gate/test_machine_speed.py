"""How fast the machine is in a run: measured when a case first asks, kept for all workers, again where it seems another."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from pytest_ftcompare.gate.machine_speed import REMEASURE_AFTER, SPEEDS_FILE, MachineSpeed
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.measure import cpu_contention, timed_window
from pytest_ftcompare.measure.timer import Workload

MINUTE = REMEASURE_AFTER


@pytest.fixture
def measured(monkeypatch):
    """The measurements that will be taken, in their order."""
    left = [{"memory": 1.0}, {"memory": 2.0}, {"memory": 3.0}, {"memory": 4.0}]
    monkeypatch.setattr(timed_window, "measure_machine", lambda *_: left.pop(0))
    return left


@pytest.fixture
def speeds(tmp_path, monkeypatch):
    """Asks the case of a moment (seconds) whether the machine is another than one of these speeds."""

    @contextmanager
    def exclusive(_):
        yield

    monkeypatch.setattr(RunContext, "exclusive", exclusive)

    def ask(at, *same):
        asked = MachineSpeed(RunContext(tmp_path, lambda: 0.0, 0.0, lambda _: None), lambda: at)
        return asked.machine_difference(
            lambda found: "" if found["memory"] in same else f"{found['memory']} is another"
        )

    return ask


def test_one_measurement_that_agrees_is_enough_for_the_run(speeds, measured):
    assert [speeds(at, 1.0) for at in (0, 1, 9 * MINUTE)] == ["", "", ""]
    assert len(measured) == 3


def test_a_machine_that_seems_another_is_measured_again_a_minute_later_and_not_before(
    speeds, measured
):
    said = [speeds(at) for at in (0, 1, MINUTE - 1, MINUTE, MINUTE + 1, 2 * MINUTE)]
    assert said == [*["1.0 is another"] * 3, *["2.0 is another"] * 2, "3.0 is another"]


def test_a_machine_that_was_slow_for_a_minute_is_the_baselines_from_then_on(speeds, measured):
    assert [speeds(at, 2.0) for at in (0, MINUTE, MINUTE + 1, 9 * MINUTE)] == [
        "1.0 is another",
        "",
        "",
        "",
    ]
    assert len(measured) == 2


def test_a_clock_that_was_set_back_measures_again(speeds, measured):
    assert [speeds(at, 2.0) for at in (1000.0, 10.0)] == ["1.0 is another", ""]


def test_cases_may_be_of_several_machines(speeds, measured):
    assert speeds(0, 1.0) == speeds(MINUTE, 2.0) == ""
    assert speeds(2 * MINUTE, 1.0) == speeds(2 * MINUTE, 2.0) == ""


def test_a_measurement_that_was_disturbed_says_nothing_and_is_not_kept(
    speeds, measured, monkeypatch, tmp_path
):
    monkeypatch.setattr(
        cpu_contention, "disturbed", lambda *_: "other processes had this worker's cores"
    )
    assert speeds(0) == ""
    assert not (tmp_path / SPEEDS_FILE).exists()


def test_what_another_worker_measured_meanwhile_is_taken(tmp_path, measured, monkeypatch):
    waiting = MachineSpeed(RunContext(tmp_path, lambda: 0.0, 0.0, lambda _: None), lambda: 100.0)

    @contextmanager
    def exclusive(_):
        (tmp_path / SPEEDS_FILE).write_text(json.dumps([[99.0, {"memory": 7.0}]]))
        yield

    monkeypatch.setattr(RunContext, "exclusive", exclusive)
    assert waiting.machine_difference(lambda found: "" if found == {"memory": 7.0} else "another") == ""
    assert len(measured) == 4


def test_it_is_measured_in_the_units_of_a_window(monkeypatch):
    """By a clock that moves with each call of a yardstick, as long as that takes."""
    took = {"kernels": 0.016, "dispatch": 0.004, "memory": 0.032, "interpreter": 0.008}
    now = [0.0]

    def worked(seconds):
        def call():
            now[0] += seconds

        return call

    monkeypatch.setattr(
        timed_window,
        "make_yardsticks",
        lambda _: {kind: worked(seconds) for kind, seconds in took.items()},
    )
    found = timed_window.measure_machine("cpu", lambda: now[0])
    assert found == pytest.approx({kind: took[kind] for kind in ("memory", "interpreter")})
    work = SimpleNamespace(pieces={"step": Workload(worked(0.064))}, rows=1, merged=None)
    taken, _ = timed_window.measure_window(work, "cpu", 0.0, lambda: now[0])
    assert taken.yardsticks == pytest.approx(took)
    assert {kind: taken.yardsticks[kind] for kind in found} == pytest.approx(found)
