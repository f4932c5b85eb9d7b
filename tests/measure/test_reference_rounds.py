"""Rounds of two processes in turn, by a clock that only their work moves."""

from types import SimpleNamespace

import pytest

from pytest_ftcompare.measure import reference_rounds
from pytest_ftcompare.measure.cpu_contention import RoundTime
from pytest_ftcompare.measure.reference_rounds import (
    IDLE_INTERVAL,
    MAX_LOOKS,
    MIN_ROUNDS,
    LocalSide,
    rounds,
    wait_until_idle,
)
from pytest_ftcompare.measure.timed_window import TimedWork
from pytest_ftcompare.measure.timer import Workload


class Side:
    def __init__(self, name, log, clock, pieces=("step",), seconds=1.0, waited=0.0):
        self.name, self.log, self.clock = name, log, clock
        self.pieces, self.seconds, self.waited = list(pieces), seconds, waited

    def round(self, piece):
        self.log.append(f"{self.name} {piece}")
        self.clock[0] += self.seconds
        return RoundTime(self.seconds, self.waited, passed=10 * self.seconds)


def take(seconds=0.0, waited=0.0, **changes):
    log, clock = [], [0.0]
    reference = Side("reference", log, clock, seconds=2.0, **changes)
    here = Side("here", log, clock, ("step", "evaluation"), waited=waited)
    taken = rounds(
        reference, here, lambda: clock[0], lambda _, passed: passed < seconds, lambda: None
    )
    return taken.pairs, log, taken.disturbed


def test_the_first_side_changes_with_each_round():
    pairs, log, disturbed = take()
    assert not disturbed
    assert log[:4] == ["reference step", "here step", "here step", "reference step"]
    assert pairs["step"] == [(2.0, 1.0)] * MIN_ROUNDS


def test_rounds_go_on_in_twos_while_they_are_wanted():
    # Two rounds take six seconds.
    assert len(take(seconds=300.0)[0]["step"]) == 100
    assert len(take(seconds=301.0)[0]["step"]) == 102
    assert len(take(seconds=1.0)[0]["step"]) == MIN_ROUNDS


def test_only_pieces_that_both_have_are_timed():
    assert list(take()[0]) == ["step"]
    assert list(take(pieces=("evaluation", "step", "other"))[0]) == ["step", "evaluation"]


@pytest.mark.parametrize(("waited", "share"), [(0.2, ""), (0.3, "3%")])
def test_a_side_that_waited_for_its_core_disturbs_the_rounds(waited, share):
    # The other side did not wait, and each counts by itself.
    *_, disturbed = take(waited=waited)
    sentence = f"other processes had this worker's cores for {share} of the time"
    assert disturbed == (sentence if share else "")


@pytest.mark.parametrize(("looks", "slept"), [(0, 0), (5, 5), (MAX_LOOKS + 5, MAX_LOOKS)])
def test_a_side_ends_its_turn_when_its_threads_no_longer_compute(looks, slept):
    states, sleeps = [True] * looks + [False], []
    wait_until_idle(lambda: states.pop(0), sleeps.append)
    assert sleeps == [IDLE_INTERVAL] * slept


def test_waiting_for_idle_threads_is_no_part_of_a_round(monkeypatch):
    clock = [0.0]

    def idle():
        clock[0] += 100.0

    def work():
        clock[0] += 3.0

    monkeypatch.setattr(reference_rounds, "wait_until_idle", idle)
    monkeypatch.setattr(
        reference_rounds, "make_work", lambda _: TimedWork({"step": Workload(work)}, 1)
    )
    prepared = SimpleNamespace(config=SimpleNamespace(device="cpu"))
    side = LocalSide(prepared, lambda: clock[0])
    assert side.round("step").seconds == 3.0
    assert clock[0] > 100.0
