"""How fast the machine is in a run: measured when a case first asks, kept for all workers, again where it seems another."""

from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from pytest_ftcompare.bench import SPEEDS, Bench, Speeds
from pytest_ftcompare.measure import window


@dataclass
class Held:
    """A bench whose device is its own; what it is doing when it is alone."""

    alone: list[str] = field(default_factory=list)

    @contextmanager
    def lease(self):
        self.alone.append("alone")
        yield


@pytest.fixture
def measured(monkeypatch):
    """The measurements that will be taken, in their order."""
    left = [{"memory": 1.0}, {"memory": 2.0}, {"memory": 3.0}, {"memory": 4.0}]
    monkeypatch.setattr(window, "measure_machine", lambda *_: left.pop(0))
    return left


@pytest.fixture
def bench(tmp_path, monkeypatch):
    held = Held()
    monkeypatch.setattr(Bench, "alone", lambda _: held.lease())
    return lambda: Bench(tmp_path, lambda: 0.0, 0.0, lambda _: None)


def other_than(*same):
    return lambda speeds: "" if speeds["memory"] in same else f"{speeds['memory']} is another"


def test_one_measurement_that_agrees_is_enough_for_the_run(bench, measured):
    for _ in range(3):
        assert Speeds(bench()).elsewhere(other_than(1.0)) == ""
    assert len(measured) == 3


def test_a_machine_that_seems_another_is_measured_again_for_the_next_case_and_so_often_at_most(bench, measured):
    said = [Speeds(bench()).elsewhere(other_than()) for _ in range(5)]
    assert said == ["1.0 is another", "2.0 is another", *["3.0 is another"] * 3]
    assert SPEEDS == 3 and len(measured) == 1


def test_a_machine_that_was_slow_for_a_minute_is_the_baselines_when_it_is_not(bench, measured):
    said = [Speeds(bench()).elsewhere(other_than(2.0)) for _ in range(4)]
    assert said == ["1.0 is another", "", "", ""]
    assert len(measured) == 2


def test_a_case_may_be_of_another_machine_than_the_one_before(bench, measured):
    assert Speeds(bench()).elsewhere(other_than(1.0)) == ""
    assert Speeds(bench()).elsewhere(other_than(2.0)) == ""
    assert Speeds(bench()).elsewhere(other_than(1.0)) == ""


def test_what_another_worker_measured_meanwhile_is_taken(bench, measured, monkeypatch):
    waiting = bench()

    @contextmanager
    def alone(_):
        (waiting.folder / "speeds.json").write_text('[{"memory": 7.0}]')
        yield

    monkeypatch.setattr(Bench, "alone", alone)
    assert Speeds(waiting).elsewhere(other_than(7.0)) == ""
    assert len(measured) == 4


def test_it_is_measured_as_a_window_does(monkeypatch):
    found = window.measure_machine("cpu", iter(range(10**6)).__next__)
    assert sorted(found) == ["interpreter", "memory"]
    assert all(value > 0 for value in found.values())
