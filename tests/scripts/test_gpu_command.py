"""`make gpu` runs each piece in a process of its own, and refuses in a sentence what it must."""

import os
import signal
import threading
from dataclasses import replace

import pytest
from filelock import FileLock

from pytest_ftcompare.measure import gpu_assignment
from pytest_ftcompare.measure.gpu_failure import GpuFailure
from scripts.gpu import __main__ as program
from scripts.gpu import command, process
from scripts.gpu import piece as pieces
from scripts.gpu.card import Card
from scripts.gpu.command import Refused
from scripts.gpu.piece import Piece, Skipped
from scripts.gpu.record import Record
from scripts.gpu.scope import Scope

CARD, VERSIONS = Card("nvidia-h200", "0123456789ab", 150 << 30), {"torch": "2.13.0"}


def no_tables(units):
    return ()


def two_units(run):
    return {"first": dict, "second": dict}


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Pretend that torch sees a GPU, and let units run on the CPU."""
    answers = {program.why_no_gpu: "", command.identify: (CARD, VERSIONS)}
    for module in (program, command):
        monkeypatch.setattr(module, "call_apart", lambda function, *_: answers[function])
    monkeypatch.setattr(gpu_assignment, "GPU_TYPE", "cpu")
    monkeypatch.setattr(pieces, "free_memory", lambda: None)
    return answers


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs one piece with given units, and returns status and record."""

    def run_piece(units=two_units, start_method="fork", **options):
        trial = Piece("trial", "a trial", units, no_tables)
        monkeypatch.setattr(
            command, "PIECES", {"trial": trial, "other": replace(trial, name="other")}
        )
        scope = Scope(root=tmp_path, start_method=start_method)
        status = command.run([trial], scope, tmp_path / "gpu", **options)
        return status, Record.open(path(tmp_path), "trial", CARD, VERSIONS)

    return run_piece


def path(tmp_path, name="trial"):
    return tmp_path / "gpu" / CARD.name / f"{name}.json"


def test_without_a_gpu_it_says_so_with_status_2(machine, capsys):
    machine[program.why_no_gpu] = "expected a GPU that torch can use, there is none here"
    assert program.main([]) == 2
    assert capsys.readouterr().err == "expected a GPU that torch can use, there is none here\n"


def test_an_unknown_piece_is_refused_with_the_known_ones(capsys):
    assert program.main(["smoke", "nonsense"]) == 2
    assert "expected pieces among smoke, nvml, determinism" in capsys.readouterr().err


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_a_piece_runs_in_a_process_of_its_own_and_leaves_its_record(run, start_method, capsys):
    status, record = run(start_method=start_method)
    assert status == 0 and record.complete and record.units.keys() == {"first", "second"}
    assert "2 on record, 0 failed: trial.json" in capsys.readouterr().out


def test_a_second_call_repeats_nothing(run, capsys):
    run()
    status, record = run(lambda _: dict.fromkeys(["first", "second"], lambda: 1 / 0))
    assert status == 0 and record.complete
    assert "  0 units in" in capsys.readouterr().out


def test_retry_repeats_what_failed_and_fresh_everything(run):
    _, record = run(lambda _: {"first": lambda: 1 / 0, "second": lambda: {"x": 1}})
    assert "failed" in record.units["first"]
    _, record = run(retry=True)
    assert (record.units["first"]["values"], record.units["second"]["values"]) == ({}, {"x": 1})
    _, record = run(fresh=True)
    assert (record.units["first"]["values"], record.units["second"]["values"]) == ({}, {})


def test_a_unit_that_kills_its_process_is_told_and_gone_on_from(run, capfd):
    def units(_):
        def die():
            os.kill(os.getpid(), signal.SIGKILL)

        return {"first": lambda: {"pid": os.getpid()}, "second": die, "third": dict}

    status, record = run(units)
    assert status == 0 and record.complete
    assert record.units["second"]["failed"] == "its process died 2 times"
    assert "values" in record.units["first"] and "values" in record.units["third"]
    assert capfd.readouterr().out.count("its process ended (SIGKILL): another goes on") == 2


def test_after_a_failure_of_the_gpu_another_process_goes_on(run, capfd):
    def units(_):
        def fail():
            raise GpuFailure("the GPU failed after 'second': no")

        return {"first": dict, "second": fail, "third": dict}

    status, record = run(units)
    assert status == 0 and record.complete
    assert [name for name, unit in record.units.items() if "failed" in unit] == ["second"]
    assert capfd.readouterr().out.count("(the GPU failed): another goes on") == 1


def test_a_piece_that_dies_before_its_first_unit_gives_status_1(run, capfd):
    command_pid = os.getpid()

    def units(_):
        return {"first": dict} if os.getpid() == command_pid else os._exit(1)

    status, record = run(units)
    assert status == 1 and not record.complete
    assert "Not complete: trial." in capfd.readouterr().out


def test_a_piece_that_hangs_is_ended_and_keeps_what_it_had(run, monkeypatch):
    run(lambda _: {"first": dict})
    monkeypatch.setattr(process, "KILL_SECONDS", 0.0)
    monkeypatch.setattr(process, "END_SECONDS", 0.0)
    _, record = run(lambda _: {"first": dict, "second": threading.Event().wait})
    assert record.units.keys() == {"first"}


def test_a_piece_that_cannot_be_measured_here_is_skipped_with_its_reason(run, capfd):
    def units(_):
        raise Skipped("expected a hub folder")

    assert run(units)[0] == 0
    assert "  skipped: expected a hub folder\n" in capfd.readouterr().out


def test_a_second_make_gpu_on_the_same_records_is_refused(run, tmp_path):
    path(tmp_path).parent.mkdir(parents=True)
    with (
        FileLock(path(tmp_path).parent / command.LOCK),
        pytest.raises(Refused, match=r"another `make gpu` has them: wait until it has ended"),
    ):
        run()


@pytest.mark.parametrize("name", ["trial", "other"])
def test_a_folder_with_a_record_of_another_gpu_is_refused(run, tmp_path, name):
    other = replace(CARD, digest="ba9876543210")
    Record.open(path(tmp_path, name), name, other, VERSIONS).settle(complete=True)
    with pytest.raises(Refused, match="expected a record of this GPU"):
        run()
