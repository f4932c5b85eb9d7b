"""The units of a piece run once each, whatever fails among them."""

import math

import pytest

from pytest_ftcompare.measure import gpu_assignment
from pytest_ftcompare.measure.gpu_failure import GpuFailure
from scripts.gpu import piece as pieces
from scripts.gpu.card import Card
from scripts.gpu.piece import OutOfTime, Piece, Run, run_units
from scripts.gpu.record import Record
from scripts.gpu.scope import Scope


@pytest.fixture(autouse=True)
def cpu(monkeypatch):
    """Let units run on the CPU."""
    monkeypatch.setattr(gpu_assignment, "GPU_TYPE", "cpu")
    monkeypatch.setattr(pieces, "free_memory", lambda: None)


@pytest.fixture
def run_of(tmp_path):
    """Return a function that runs units and returns their record."""

    def run(deadline=math.inf, **units):
        record = Record.open(tmp_path / "trial.json", "trial", Card("gpu", "0", 1), {})
        trial = Run(Scope(root=tmp_path), record, deadline)
        run_units(Piece("trial", "a trial", lambda _: units, lambda _: ()), trial)
        return record

    return run


def failing(error):
    """Return a unit that raises an error."""

    def work():
        raise error

    return work


def forbidden():
    raise AssertionError("this unit is on record")


def test_a_unit_that_fails_is_recorded_and_gone_on_from(run_of, capsys):
    record = run_of(first=failing(ArithmeticError("planted\nadvice")), second=lambda: {"x": 1})
    assert record.units["first"]["failed"] == "ArithmeticError: planted"
    assert record.units["second"]["values"] == {"x": 1}
    assert record.complete
    assert "first: ArithmeticError: planted" in capsys.readouterr().out


def test_what_is_on_record_is_not_repeated(run_of):
    run_of(first=lambda: {"x": 1}, second=failing(ValueError("no")))
    record = run_of(first=forbidden, second=forbidden, third=lambda: {"x": 3})
    assert [unit.get("values") for unit in record.units.values()] == [{"x": 1}, None, {"x": 3}]


def test_no_unit_begins_when_the_time_is_up(run_of):
    record = run_of(deadline=-math.inf, first=forbidden)
    assert not record.units and not record.complete


def test_a_unit_that_runs_out_of_time_is_left_to_the_next_call(run_of):
    record = run_of(first=failing(OutOfTime()), second=forbidden)
    assert not record.units and not record.complete and record.tries("first") == 0


@pytest.mark.parametrize("end", [KeyboardInterrupt(), SystemExit(1)])
def test_an_end_within_a_unit_keeps_the_units_before_it(run_of, end):
    with pytest.raises(type(end)):
        run_of(first=lambda: {"x": 1}, second=failing(end))
    record = run_of(first=forbidden, second=lambda: {"x": 2})
    assert record.complete and record.units["second"]["values"] == {"x": 2}


def test_a_unit_in_which_two_processes_died_counts_as_failed(run_of):
    for _ in range(2):
        with pytest.raises(SystemExit):
            run_of(first=failing(SystemExit(1)))
    record = run_of(first=forbidden, second=lambda: {})
    assert record.units["first"]["failed"] == "its process died 2 times"
    assert record.complete


def test_a_failed_gpu_ends_the_process_once_the_unit_is_recorded(run_of):
    with pytest.raises(GpuFailure):
        run_of(first=failing(GpuFailure("the GPU failed")), second=forbidden)
    record = run_of(first=forbidden, second=lambda: {})
    assert record.units["first"]["failed"] == "GpuFailure: the GPU failed"
    assert record.complete
