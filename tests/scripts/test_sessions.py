"""The record of sessions in which nothing changed."""

import json
import platform
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts import sessions


def cost(outcome, unit="s", change=0.0, note=""):
    return {"metric": "step", "unit": unit, "outcome": outcome, "change": change, "note": note}


GREEN = {
    "cases": [{"verdict": "same", "costs": [cost("equivalent"), cost("open", unit="B")]}],
    "findings": [],
}
RED = {
    "cases": [
        {"verdict": "worse", "costs": [cost("worse", change=0.051), cost("equivalent")]},
        {"verdict": "same", "costs": [cost("incomparable", note=f"{sys.executable} is too noisy")]},
    ],
    "findings": ["all cases together: step is 2.0 % slower"],
}


PYTHON = ".".join(platform.python_version_tuple()[:2])


@pytest.fixture
def calls(monkeypatch):
    """Answer pytest's runs: a green session, then red ones. Return the commands."""
    answers = [(0, GREEN), (1, RED)]
    commands = []

    def run(command, *, env, stdout, check):
        status, document = answers[min(len(commands), 1)]
        commands.append((command, env))
        file = next(
            option.partition("=")[2] for option in command if option.startswith("--ftcompare-rep")
        )
        Path(file).write_text(json.dumps(document), encoding="utf-8")
        return SimpleNamespace(returncode=status)

    monkeypatch.setattr(sessions.subprocess, "run", run)
    return commands


def test_sessions_are_counted_with_their_outcomes_of_time(calls, tmp_path):
    file = tmp_path / "sessions.json"
    sessions.main(file, 2, ["AVX2"])
    record = json.loads(file.read_text())[f"AVX2, Python {PYTHON}"]
    assert [record[name] for name in ("sessions", "red", "red by time")] == [2, 1, 1]
    assert record["verdicts"] == {"same": 2, "worse": 1}
    assert record["times"] == {"equivalent": 2, "worse": 1, "incomparable": 1}
    assert record["not compared"] == {"the reference is too noisy": 1}
    assert record["failures"] == ["step +5.1%", "all cases together: step is 2.0 % slower"]
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("document", "count"),
    [
        (GREEN | {"findings": ["6 of 7 cases could not be compared: too many to pass"]}, 0),
        (GREEN | {"findings": ["step is 2.0 % slower on average over 9 cases"]}, 1),
        (RED | {"findings": []}, 1),
    ],
)
def test_a_session_may_be_red_by_something_else_than_time(document, count):
    record = dict.fromkeys(("sessions", "red", "red by time"), 0)
    record |= {"verdicts": {}, "times": {}, "not compared": {}, "failures": []}
    sessions.add_session(record, 1, document)
    assert (record["red"], record["red by time"]) == (1, count)


def test_a_state_changes_its_own_sessions(calls, tmp_path):
    sessions.main(tmp_path / "sessions.json", 1, ["AVX2", "two threads"])
    (avx2, its_variables), (two_threads, other_variables) = calls
    assert its_variables["ATEN_CPU_CAPABILITY"] == "avx2"
    assert other_variables.get("ATEN_CPU_CAPABILITY") != "avx2"
    assert "--ftcompare-threads=2" in two_threads and "--ftcompare-threads=2" not in avx2
    assert f"--ftcompare-reference={sys.executable}" in avx2


def test_a_state_that_is_measured_again_leaves_the_others(calls, tmp_path):
    file = tmp_path / "sessions.json"
    file.write_text(json.dumps({"AVX2, Python 2.7": {"sessions": 5}}))
    sessions.main(file, 1, ["AVX2"])
    assert json.loads(file.read_text())["AVX2, Python 2.7"] == {"sessions": 5}


def test_busy_loops_end_with_the_session(monkeypatch):
    made = []

    class Process:
        def __init__(self, command):
            self.ended = []
            made.append(self)

        def kill(self):
            self.ended.append("killed")

        def wait(self):
            self.ended.append("gone")

    monkeypatch.setattr(sessions.subprocess, "Popen", Process)
    with pytest.raises(RuntimeError), sessions.busy(2):
        raise RuntimeError
    assert [process.ended for process in made] == [["killed", "gone"]] * 2
