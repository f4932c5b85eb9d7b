"""A run of an entry gives the signs of its failures, and is read when it ran before."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_ftcompare.upgrade import gate_run
from pytest_ftcompare.upgrade.environments import EnvironmentRefused
from pytest_ftcompare.upgrade.gate_run import GateRuns, RunResult, Sign
from pytest_ftcompare.upgrade.history import Entry
from pytest_ftcompare.upgrade.lock import Lock
from pytest_ftcompare.upgrade.try_upgrade import TryError

GOOD, BAD = (Entry(f"peft {n}", Lock({"peft": f"peft=={n}"})) for n in (1, 2))
PROBE = Sign("lora", "changed", "outputs before any update", "outputs differ by 3e-3 of 2.1")


class Environments:
    def get(self, lock, say):
        if lock.lines["peft"] == "peft==3":
            raise EnvironmentRefused("it cannot be installed: no wheel")
        return Path("python")


@pytest.fixture
def session(monkeypatch):
    """Stand for pytest: write the cases of `cases`, and count the sessions."""

    def run(command, stdout, stderr):
        run.commands.append(command)
        reports = [text.partition("=")[2] for text in command if "-report=" in text]
        for report in reports if run.status in (0, 1) else []:
            Path(report).write_text(json.dumps({"cases": run.cases}))
        return subprocess.CompletedProcess(command, run.status)

    run.commands, run.cases, run.status = [], [], 0
    monkeypatch.setattr(gate_run.subprocess, "run", run)
    return run


@pytest.fixture
def runs(tmp_path):
    return GateRuns(Environments(), tmp_path, ["suites", "-k", "lora"], lambda text: None, 3)


def case(sign, failed=True):
    return {
        "id": sign.case,
        "verdict": sign.verdict,
        "first_divergence": sign.level,
        "divergences": [sign.text],
        "failed": failed,
    }


def test_the_signs_are_those_of_cases_that_failed(runs, session):
    session.cases = [case(PROBE), case(Sign("full", "same", "", "x"), failed=False)]
    assert runs.run(BAD) == RunResult([PROBE])
    (command,) = session.commands
    assert command[3:6] == ["suites", "-k", "lora"]
    assert "--benchmark-disable" in command


def test_an_entry_runs_once(runs, session):
    session.cases = [case(PROBE)]
    assert runs.run(BAD) == runs.run(BAD)
    assert len(session.commands) == 1


def test_an_environment_that_is_refused_is_skipped(runs, session):
    refused = runs.run(Entry("peft 3", Lock({"peft": "peft==3"})))
    assert refused == RunResult([], "it cannot be installed: no wheel")
    assert refused.state(PROBE) == "skipped"
    assert session.commands == []


def test_a_session_that_did_not_run_names_its_output(runs, session):
    session.status = 3
    with pytest.raises(TryError, match=r"status 3 in peft 2: .*\.log says why"):
        runs.run(BAD)


def test_the_good_end_makes_the_baselines_once(runs, session):
    runs.make_baselines(GOOD)
    runs.make_baselines(GOOD)
    (command,) = session.commands
    assert {"--update-baselines", "--ftcompare-seeds=3"} <= set(command)


def test_all_seeds_make_baselines_of_their_own(runs, session):
    runs.make_baselines(GOOD)
    replace(runs, seeds=None).make_baselines(GOOD)
    assert not any("-seeds=" in text for text in session.commands[1])


@pytest.mark.parametrize(
    ("sign", "state"),
    [
        (PROBE, "bad"),
        (Sign("full", "changed", PROBE.level, "outputs differ by 9e-3 of 2.1"), "bad"),
        (Sign("lora", "invalid", "invariant", "merged, the outputs must be"), "other"),
        (Sign("lora", "worse", "outcome", "accuracy"), "other"),
    ],
)
def test_an_entry_is_bad_if_it_fails_in_the_same_way(sign, state):
    assert RunResult([sign]).state(PROBE) == state
    assert RunResult([]).state(PROBE) == "good"
