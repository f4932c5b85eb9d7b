"""Two pieces of work timed in turns; the clock is made up."""

from contextlib import closing
from itertools import islice

import pytest

from pytest_ftcompare.measure.paired_timing import NoWorkload, make_workload, rounds
from pytest_ftcompare.measure.timer import Workload
from pytest_ftcompare.results.case import Case


class Machine:
    """A clock that moves when work is done on it, and who did it."""

    def __init__(self):
        self.now, self.order = 0.0, []

    def piece(self, name, seconds):
        def work():
            self.now += seconds
            self.order.append(name)

        return Workload(work)


def test_the_pieces_take_turns_and_a_time_is_that_of_one_call():
    machine = Machine()
    with closing(
        rounds(machine.piece("a", 0.02), machine.piece("b", 0.03), "cpu", lambda: machine.now)
    ) as pairs:
        machine.order.clear()
        found = list(islice(pairs, 4))
    assert found == [(pytest.approx(0.02), pytest.approx(0.03))] * 4
    assert "".join(machine.order[-8:]) == "abbaabba"


def test_short_pieces_are_called_often_enough_to_be_timed():
    machine = Machine()
    with closing(
        rounds(machine.piece("a", 0.001), machine.piece("b", 0.02), "cpu", lambda: machine.now)
    ) as pairs:
        next(pairs)
        before = machine.order.count("a")
        assert next(pairs)[0] == pytest.approx(0.001)
    assert machine.order.count("a") - before >= 10


@pytest.fixture(scope="module")
def lora():
    from pytest_ftcompare.training.config import TrainingConfig
    from pytest_ftcompare.training.prepare import prepare

    return prepare(
        Case("made", "lora", "pocket_sst", "pocket/opt-0.4m", 2),
        TrainingConfig("pocket", max_length=64),
    )


@pytest.mark.parametrize(
    "name", ["step", "evaluation", "inference", "merged evaluation", "merged inference"]
)
def test_every_piece_of_a_case_can_be_called(lora, name):
    piece = make_workload(lora, name)
    piece.ready()
    piece.call()


def test_a_missing_piece_of_work_is_reported(lora):
    with pytest.raises(
        NoWorkload, match="has no merged step to be timed: expected step, evaluation, inference"
    ):
        make_workload(lora, "merged step")
