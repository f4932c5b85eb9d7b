"""Cases run in the old environment, then in the new one, and open ones again with all seeds."""

import json
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from pytest_ftcompare.upgrade import try_upgrade
from pytest_ftcompare.upgrade.lock import Lock
from pytest_ftcompare.upgrade.try_upgrade import Arm, Trial, TryError, is_open


def case(nodeid, verdict="same", outcome="equivalent", *, judge_accuracy=True):
    return {
        "nodeid": nodeid,
        "verdict": verdict,
        "failed": verdict in ("worse", "changed", "invalid", "new"),
        "judge_accuracy": judge_accuracy,
        "comparisons": [{"outcome": outcome}],
    }


def document(*cases, findings=(), claims=()):
    return {"cases": list(cases), "claims": list(claims), "findings": list(findings)}


class Sessions:
    """Stands for pytest in both arms: returns statuses and writes documents in turn."""

    def __init__(self, monkeypatch):
        self.commands, self.documents, self.status = [], [], 0
        monkeypatch.setattr(try_upgrade.subprocess, "run", self.run)

    def run(self, command):
        python, _, _, *arguments = command
        self.commands.append((str(python), arguments))
        reports = [text.partition("=")[2] for text in arguments if "-report=" in text]
        if reports and self.status in (0, 1):
            Path(reports[0]).write_text(json.dumps(self.documents.pop(0)))
        return subprocess.CompletedProcess(command, self.status)

    def pythons(self):
        return [python for python, _ in self.commands]


@pytest.fixture
def sessions(monkeypatch):
    return Sessions(monkeypatch)


@pytest.fixture
def trial(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old, new = Lock({"peft": "peft==1"}), Lock({"peft": "peft==2"})
    arms = Arm("this environment", old, Path("old")), Arm("the changed", new, Path("new"))
    said = []
    trial = Trial(
        *arms, ["suites", "-k", "lora"], tmp_path / "results", tmp_path / "try", said.append
    )
    object.__setattr__(trial, "said", said)
    return trial


def test_the_old_arm_makes_baselines_that_the_new_arm_is_compared_with(trial, sessions):
    sessions.documents = [document(case("a"), case("b"))]
    assert trial.run()
    (old, first), (new, second) = sessions.commands
    assert (old, new) == ("old", "new")
    assert first[:3] == second[:3] == ["suites", "-k", "lora"]
    assert {"--update-baselines", "--ftcompare-seeds=3"} <= set(first)
    assert "--ftcompare-reference=old" in second
    (baselines,) = {text for text in first if "-baselines=" in text}
    assert baselines in second
    assert trial.said[-1] == "2 cases: 2 same"


def test_the_old_arms_results_are_kept(trial, sessions):
    sessions.documents = [document(case("a")), document(case("a", "changed"))]
    assert trial.run()
    assert not trial.run()
    assert sessions.pythons() == ["old", "new", "new"]


@pytest.mark.parametrize("change", ["old lock", "a file of the project"])
def test_another_environment_or_project_has_its_own_results(trial, sessions, change):
    sessions.documents = [document(case("a")), document(case("a"))]
    trial.run()
    if change == "old lock":
        object.__setattr__(trial, "old", Arm("old", Lock({"peft": "peft==0"}), Path("old")))
    else:
        Path("conftest.py").write_text("x = 1\n")
    trial.run()
    assert sessions.pythons() == ["old", "new"] * 2


def test_cases_that_few_seeds_leave_open_run_again_with_all(trial, sessions):
    few = document(case("a"), case("b", "undecided", "open"), claims=[{"nodeid": "c"} | SOUND])
    sessions.documents = [few, document(case("b", "worse", "worse"))]
    assert not trial.run()
    assert sessions.pythons() == ["old", "new"] * 2
    for _, arguments in sessions.commands[2:]:
        assert {"--deselect=a", "--deselect=c"} <= set(arguments)
        assert "--deselect=b" not in arguments
        assert not any("-seeds=" in text for text in arguments)
    assert trial.said[-1] == "2 cases: 1 worse, 1 same"


SOUND = {"failed": False}


@pytest.mark.parametrize(
    "few",
    [
        document(case("a", "changed")),
        document(case("a"), findings=["all cases together are slower"]),
        document(case("a"), claims=[{"nodeid": "c", "failed": True}]),
    ],
    ids=["a case", "all together", "a claim"],
)
def test_what_fails_the_gate_fails_the_command(trial, sessions, few):
    sessions.documents = [few]
    assert not trial.run()


@pytest.mark.parametrize(
    ("verdict", "outcome", "judged", "expected"),
    [
        ("same", "equivalent", True, False),
        ("undecided", "open", True, True),
        ("worse", "worse", True, True),
        ("worse", "equivalent", True, False),
        ("changed", "open", True, False),
        ("worse", "worse", False, False),
    ],
)
def test_more_seeds_matter_only_to_outcomes(verdict, outcome, judged, expected):
    assert is_open(case("a", verdict, outcome, judge_accuracy=judged)) is expected


def test_a_session_that_did_not_run_is_refused_and_goes_on_later(trial, sessions):
    sessions.status = 4
    with pytest.raises(TryError, match=r"pytest ended with status 4 in this environment: .* go on"):
        trial.run()
    sessions.status, sessions.documents = 0, [document(case("a"))]
    assert trial.run()
    assert all("--ftcompare-resume" in arguments for _, arguments in sessions.commands[:2])


def test_two_trials_at_once_are_refused(trial, sessions):
    lock = (trial.results / trial._key()).with_suffix(".lock")
    trial.results.mkdir()
    with FileLock(lock), pytest.raises(TryError, match="another process tries this upgrade"):
        trial.run()
    assert sessions.commands == []
