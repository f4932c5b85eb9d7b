"""Whether a worker had its core, from Linux's own account, replayed."""

import pytest

from pytest_ftcompare.measure import scheduled
from pytest_ftcompare.measure.scheduled import Account, account, disturbed


def test_a_worker_that_had_its_core_is_not_disturbed():
    assert disturbed(Account(0.0, 5.0, 1.0), Account(10.0, 5.1, 1.1)) == ""


def test_a_core_shared_with_other_processes_is_said_with_its_share():
    said = disturbed(Account(0.0, 5.0, 1.0), Account(10.0, 9.0, 1.0))
    assert said == "other processes had this worker's core for 40% of the time"


def test_cores_taken_by_other_virtual_machines_are_said():
    said = disturbed(Account(0.0, 5.0, 1.0), Account(10.0, 5.0, 2.5))
    assert said == "other virtual machines had this one's cores for 15% of the time"


def test_the_systems_files_are_read(tmp_path, monkeypatch):
    (tmp_path / "schedstat").write_text("111 2500000000 7\n")
    (tmp_path / "stat").write_text("cpu  65177 0 8098 354726 541 0 75 321 0 0\ncpu0 1 2 3\n")
    monkeypatch.setattr(scheduled, "ACCOUNT", tmp_path / "schedstat")
    monkeypatch.setattr(scheduled, "STEAL", tmp_path / "stat")
    found = account()
    assert (found.waited, found.stolen) == (2.5, 3.21)


@pytest.mark.parametrize("text", [None, "", "111", "not a number at all"])
def test_a_system_without_such_an_account_says_nothing(tmp_path, monkeypatch, text):
    file = tmp_path / "schedstat"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(scheduled, "ACCOUNT", file)
    assert account() is None
    assert disturbed(None, None) == ""
