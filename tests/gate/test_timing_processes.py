"""A process that times serves several cases, and none after an error."""

from pathlib import Path

import pytest

from pytest_ftcompare.gate.remote import RemoteError
from pytest_ftcompare.gate.timing_processes import MAX_CASES, TimingProcesses

PYTHON = Path("python")


class FakeProcess:
    def __init__(self, python):
        self.python, self.is_closed = python, False

    def close(self):
        assert not self.is_closed
        self.is_closed = True


@pytest.fixture
def processes():
    started = []

    def start(python):
        started.append(FakeProcess(python))
        return started[-1]

    processes = TimingProcesses(start)
    processes.started = started
    return processes


def run(processes, cases, python=PYTHON, *, keep=True):
    for _ in range(cases):
        with processes.process_of(python, keep=keep) as process:
            assert process.python == python and not process.is_closed


def test_a_process_serves_several_cases_but_not_all(processes):
    run(processes, MAX_CASES)
    assert len(processes.started) == 1 and processes.started[0].is_closed
    run(processes, 1)
    assert [process.is_closed for process in processes.started] == [True, False]
    processes.close()
    assert all(process.is_closed for process in processes.started)


def test_each_interpreter_has_its_own(processes):
    run(processes, 2)
    run(processes, 2, Path("other"))
    assert [process.python for process in processes.started] == [PYTHON, Path("other")]


def test_a_process_that_is_not_kept_ends_with_its_case(processes):
    run(processes, 2, keep=False)
    assert [process.is_closed for process in processes.started] == [True, True]


@pytest.mark.parametrize("error", [RemoteError("it ended"), KeyboardInterrupt()])
def test_no_case_gets_a_process_that_failed(processes, error):
    run(processes, 1)
    with pytest.raises(type(error)), processes.process_of(PYTHON, keep=True):
        raise error
    assert processes.started[0].is_closed
    run(processes, 1)
    assert len(processes.started) == 2
