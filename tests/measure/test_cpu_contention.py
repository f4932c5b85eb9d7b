"""Whether a worker had its core, by Linux's accounting, replayed."""

import threading

import pytest

from pytest_ftcompare.measure import cpu_contention
from pytest_ftcompare.measure.cpu_contention import (
    CpuAccounting,
    RoundTime,
    cpu_accounting,
    disturbed,
    other_threads_compute,
    round_time,
    why_rounds_disturbed,
)


def test_a_worker_that_had_its_core_is_not_disturbed():
    assert disturbed(CpuAccounting(0.0, 5.0, 1.0), CpuAccounting(10.0, 5.1, 1.1)) == ""


def test_a_core_shared_with_other_processes_is_reported_with_its_share():
    said = disturbed(CpuAccounting(0.0, 5.0, 1.0), CpuAccounting(10.0, 9.0, 1.0))
    assert said == "other processes had this worker's cores for 40% of the time"


def test_a_process_that_awaits_answers_is_not_disturbed_by_its_own_waits():
    before, after = CpuAccounting(0.0, 5.0, 1.0), CpuAccounting(10.0, 9.0, 1.0)
    assert disturbed(before, after, computes=False) == ""
    stolen = CpuAccounting(10.0, 9.0, 2.5)
    assert "other virtual machines" in disturbed(before, stolen, computes=False)


def test_a_round_has_the_waits_of_its_own_time(monkeypatch):
    monkeypatch.setattr(cpu_contention, "cpu_accounting", lambda: CpuAccounting(7.0, 5.5, 1.0))
    assert round_time(0.1, CpuAccounting(5.0, 5.0, 1.0)) == RoundTime(0.1, 0.5, 2.0)
    assert round_time(0.1, None) == RoundTime(0.1)
    # A reference of older code reports no waits.
    assert why_rounds_disturbed([RoundTime(0.1)]) == ""


@pytest.mark.parametrize(
    ("states", "computes"),
    [("", False), ("S", False), ("SR", True), ("SSD", False), ("R", True), ("t", False)],
)
def test_another_thread_computes_if_it_has_a_core_or_waits_for_one(
    tmp_path, monkeypatch, states, computes
):
    monkeypatch.setattr(cpu_contention, "THREAD_STATS", tmp_path)
    # The calling thread always runs.
    names = {str(threading.get_native_id()): "R"} | {f"0{n}": s for n, s in enumerate(states)}
    for name, state in names.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "stat").write_text(f"7 (a) R (b) {state} 1 2 3\n")
    assert other_threads_compute() is computes


def test_without_linuxs_account_no_thread_computes(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu_contention, "THREAD_STATS", tmp_path / "none")
    assert other_threads_compute() is False


def test_cores_taken_by_other_virtual_machines_are_reported():
    said = disturbed(CpuAccounting(0.0, 5.0, 1.0), CpuAccounting(10.0, 5.0, 2.5))
    assert said == "other virtual machines had this one's cores for 15% of the time"


def test_the_systems_files_are_read_for_all_threads_and_as_a_share_of_all_cores(
    tmp_path, monkeypatch
):
    for name, waited in (("7", 2_500_000_000), ("8", 500_000_000)):
        (tmp_path / "task" / name).mkdir(parents=True)
        (tmp_path / "task" / name / "schedstat").write_text(f"111 {waited} 7\n")
    (tmp_path / "stat").write_text("cpu  65177 0 8098 354726 541 0 75 3200 0 0\ncpu0 1 2 3\n")
    monkeypatch.setattr(cpu_contention, "THREAD_STATS", tmp_path / "task")
    monkeypatch.setattr(cpu_contention, "CPU_STATS", tmp_path / "stat")
    monkeypatch.setattr(cpu_contention.os, "cpu_count", lambda: 64)
    found = cpu_accounting()
    assert (found.waited, found.stolen) == (3.0, 0.5)


@pytest.mark.parametrize("text", ["", "111", "not a number at all"])
def test_a_system_without_accounting_reports_nothing(tmp_path, monkeypatch, text):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "schedstat").write_text(text)
    monkeypatch.setattr(cpu_contention, "THREAD_STATS", tmp_path)
    assert cpu_accounting() is None
    monkeypatch.setattr(cpu_contention, "CPU_STATS", tmp_path / "none")
    assert cpu_accounting() is None
    assert disturbed(None, None) == ""
