"""A run of an entry gives the signs of its failures, and is read when it ran before."""

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_ftcompare.environments.environment_cache import EnvironmentRefused
from pytest_ftcompare.environments.lock import Lock
from pytest_ftcompare.upgrade import gate_run
from pytest_ftcompare.upgrade.gate_run import GateRuns, RunResult, Sign
from pytest_ftcompare.upgrade.history import Entry
from pytest_ftcompare.upgrade.session import TryError

GOOD, BAD = (Entry(f"peft {n}", Lock({"peft": f"peft=={n}"})) for n in (1, 2))
PROBE = Sign("lora", "changed", "outputs before any update", "outputs differ by 3e-3 of 2.1")


class Environments:
    refused = "peft==3"

    def get(self, lock, say):
        if lock.lines["peft"] == self.refused:
            raise EnvironmentRefused("it cannot be installed: no wheel")
        return Path("python")


@pytest.fixture(autouse=True)
def one_release_is_refused(monkeypatch):
    monkeypatch.setattr(Environments, "refused", "peft==3")


@pytest.fixture
def session(monkeypatch):
    """Stand for pytest: give the document of `cases`, and count the sessions."""

    def run(python, arguments, folder, name, *, log):
        assert log
        run.commands.append(list(arguments))
        document = {"cases": run.cases, "claims": run.claims, "findings": run.findings}
        return run.status, document

    run.commands, run.cases, run.claims, run.findings, run.status = [], [], [], [], 0
    monkeypatch.setattr(gate_run, "run_session", run)
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
    assert command[:3] == ["suites", "-k", "lora"]
    assert "--benchmark-disable" in command


def test_an_entry_runs_once(runs, session):
    session.cases = [case(PROBE)]
    assert runs.run(BAD) == runs.run(BAD)
    assert len(session.commands) == 1


def test_an_environment_that_is_refused_is_skipped_and_tried_again(runs, session):
    entry = Entry("peft 3", Lock({"peft": "peft==3"}))
    refused = runs.run(entry)
    assert refused == RunResult([], "it cannot be installed: no wheel")
    assert refused.state(PROBE) == "skipped"
    assert session.commands == []
    Environments.refused = ""
    assert runs.run(entry) == RunResult([])


@pytest.mark.parametrize("status", [2, -11])
def test_an_entry_whose_session_breaks_off_is_skipped(runs, session, status):
    session.status = status
    result = runs.run(BAD)
    assert result.state(PROBE) == "skipped"
    assert f"status {status} in peft 2: " in result.skipped
    session.status = 0
    assert runs.run(BAD) == RunResult([])


def test_a_wrong_argument_ends_the_search(runs, session):
    session.status = 4
    with pytest.raises(TryError, match=r"status 4 in peft 2: .*\.log says why"):
        runs.run(BAD)


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({"cases": ["undecided"]}, "other", "lora is undecided"),
        ({"cases": ["incomparable"]}, "other", "lora is incomparable"),
        ({"status": 1}, "other", "a test that is no case of the gate failed"),
        ({"findings": ["all lower"]}, "other", "all cases: failed, together: all lower"),
        ({"claims": ["one"]}, "other", "one: broken, claim: it moved"),
    ],
)
def test_a_run_without_an_answer_is_not_good(runs, session, changes, state, reason):
    session.status = changes.get("status", 0)
    session.findings = changes.get("findings", [])
    verdicts = changes.get("cases", [])
    session.cases = [case(Sign("lora", verdict, "", ""), failed=False) for verdict in verdicts]
    session.claims = [
        {"name": name, "verdict": "broken", "failed": True, "note": "it moved"}
        for name in changes.get("claims", [])
    ]
    result = runs.run(BAD)
    assert (result.state(PROBE), result.reason) == (state, reason)


def test_a_case_that_fails_in_the_good_end_is_refused(runs, session):
    session.cases = [case(PROBE)]
    with pytest.raises(TryError, match="expected cases that pass in peft 1, lora: changed"):
        runs.make_baselines(GOOD)


def test_the_good_end_makes_the_baselines_once(runs, session):
    runs.make_baselines(GOOD)
    runs.make_baselines(GOOD)
    (command,) = session.commands
    assert {"--update-baselines", "--ftcompare-seeds=3"} <= set(command)


def test_all_seeds_need_no_option(runs, session):
    replace(runs, seeds=None).make_baselines(GOOD)
    assert not any("-seeds=" in text for text in session.commands[0])


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
