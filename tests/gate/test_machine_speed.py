"""The machine's speed: the first case measures it, workers share it, and a mismatch repeats it."""

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
    """The next measurements, in order."""
    left = [{"memory": 1.0}, {"memory": 2.0}, {"memory": 3.0}, {"memory": 4.0}]
    monkeypatch.setattr(timed_window, "measure_machine_speed", lambda *_: left.pop(0))
    return left


@pytest.fixture
def speeds(tmp_path, monkeypatch):
    """Return why a machine with none of the `same` speeds differs, at a time in seconds."""

    @contextmanager
    def exclusive(_):
        yield

    monkeypatch.setattr(RunContext, "exclusive", exclusive)

    def why_different(now, *same):
        machine = MachineSpeed(RunContext(tmp_path, lambda: 0.0, 0.0, lambda _: None), lambda: now)
        return machine.machine_difference(
            lambda measurement: (
                "" if measurement["memory"] in same else f"{measurement['memory']} is another"
            )
        )

    return why_different


def test_one_measurement_that_matches_is_enough_for_the_run(speeds, measured):
    assert [speeds(at, 1.0) for at in (0, 1, 9 * MINUTE)] == ["", "", ""]
    assert len(measured) == 3


def test_a_mismatch_is_measured_again_a_minute_later_and_not_before(speeds, measured):
    reasons = [speeds(at) for at in (0, 1, MINUTE - 1, MINUTE, MINUTE + 1, 2 * MINUTE)]
    assert reasons == [*["1.0 is another"] * 3, *["2.0 is another"] * 2, "3.0 is another"]


def test_a_machine_that_was_slow_for_a_minute_matches_from_then_on(speeds, measured):
    assert [speeds(at, 2.0) for at in (0, MINUTE, MINUTE + 1, 9 * MINUTE)] == [
        "1.0 is another",
        "",
        "",
        "",
    ]
    assert len(measured) == 2


def test_a_clock_that_was_set_back_measures_again(speeds, measured):
    assert [speeds(at, 2.0) for at in (1000.0, 10.0)] == ["1.0 is another", ""]


def test_cases_may_match_different_machines(speeds, measured):
    assert speeds(0, 1.0) == speeds(MINUTE, 2.0) == ""
    assert speeds(2 * MINUTE, 1.0) == speeds(2 * MINUTE, 2.0) == ""


def test_a_disturbed_measurement_is_ignored_and_not_stored(speeds, measured, monkeypatch, tmp_path):
    monkeypatch.setattr(
        cpu_contention, "disturbed", lambda *_: "other processes had this worker's cores"
    )
    assert speeds(0) == ""
    assert not (tmp_path / SPEEDS_FILE).exists()


def test_another_workers_measurement_is_used(tmp_path, measured, monkeypatch):
    waiting = MachineSpeed(RunContext(tmp_path, lambda: 0.0, 0.0, lambda _: None), lambda: 100.0)

    @contextmanager
    def exclusive(_):
        (tmp_path / SPEEDS_FILE).write_text(json.dumps([[99.0, {"memory": 7.0}]]))
        yield

    monkeypatch.setattr(RunContext, "exclusive", exclusive)
    assert (
        waiting.machine_difference(lambda speeds: "" if speeds == {"memory": 7.0} else "another")
        == ""
    )
    assert len(measured) == 4


def test_the_machine_is_measured_in_the_units_of_a_window(monkeypatch):
    """The clock advances with each call of a yardstick by the yardstick's duration."""
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
    found = timed_window.measure_machine_speed("cpu", lambda: now[0])
    assert found == pytest.approx({kind: took[kind] for kind in ("memory", "interpreter")})
    work = SimpleNamespace(pieces={"step": Workload(worked(0.064))}, rows=1, merged=None)
    taken, _ = timed_window.measure_window(work, "cpu", 0.0, lambda: now[0])
    assert taken.yardsticks == pytest.approx(took)
    assert {kind: taken.yardsticks[kind] for kind in found} == pytest.approx(found)
