"""Cases run in the old environment, then in the new one, and open ones again with all seeds."""

import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from pytest_ftcompare.environments.lock import Lock
from pytest_ftcompare.gate.session import SESSION_NODEID
from pytest_ftcompare.report.document import OTHER_TESTS_FAILED
from pytest_ftcompare.upgrade import try_upgrade
from pytest_ftcompare.upgrade.session import Session, TryError
from pytest_ftcompare.upgrade.try_upgrade import Environment, Trial, is_open, marked


def case(
    nodeid, verdict="same", outcome="equivalent", *, judge_accuracy=True, costs=(), allowed=False
):
    return {
        "nodeid": nodeid,
        "verdict": verdict,
        "failed": verdict in ("worse", "changed", "invalid", "new") and not allowed,
        "judge_accuracy": judge_accuracy,
        "allowed": allowed,
        "comparisons": [{"outcome": outcome}],
        "identical": verdict == "same" and outcome == "equivalent",
        "costs": list(costs),
    }


def document(*cases, findings=(), claims=()):
    return {"cases": list(cases), "claims": list(claims), "findings": list(findings)}


PASSED = {"failed": False}
UNJUDGED = "1 of 2 cases could not be compared: too many to pass"


class Sessions:
    """Stands for pytest in both environments: gives statuses and documents in turn."""

    def __init__(self, monkeypatch):
        self.commands, self.old, self.new, self.status = [], [], [], 0
        self.failed_tests = {}
        self.has_claims, self.monkeypatch = False, monkeypatch
        monkeypatch.setattr(try_upgrade, "run_session", self.run)
        monkeypatch.setattr(Trial, "_has_claims", lambda trial: self.has_claims)

    def run(self, python, arguments, folder, name):
        self.commands.append((str(python), list(arguments)))
        folder.mkdir(parents=True, exist_ok=True)
        documents = self.new if name == "new" else self.old
        found = documents.pop(0) if documents else document(case("a"), case("b"))
        return Session(self.status, found, dict(self.failed_tests.get(name, {})))

    def pythons(self):
        return [python for python, _ in self.commands]


@pytest.fixture
def sessions(monkeypatch):
    return Sessions(monkeypatch)


@pytest.fixture
def trial(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environments = (
        Environment("this environment", Lock({"peft": "peft==1"}), Path("old")),
        Environment("the changed", Lock({"peft": "peft==2"}), Path("new")),
    )
    said = []
    trial = Trial(
        *environments, ["suites", "-k", "lora"], tmp_path / "results", tmp_path / "try", said.append
    )
    object.__setattr__(trial, "said", said)
    return trial


def test_the_old_arm_makes_baselines_that_the_new_arm_is_compared_with(trial, sessions):
    assert trial.run()
    (old, first), (new, second) = sessions.commands
    assert (old, new) == ("old", "new")
    assert first[:3] == second[:3] == ["suites", "-k", "lora"]
    assert {"--update-baselines", "--ftcompare-seeds=1", "--ftcompare-resume"} <= set(first)
    assert "--ftcompare-seeds=1" in second
    assert "--ftcompare-provisional" in first
    assert "--ftcompare-provisional" not in second
    assert {"--ftcompare-reference=old", "--ftcompare-resume"} <= set(second)
    assert "--update-baselines" not in second
    (baselines,) = {text for text in first if "-baselines=" in text}
    assert baselines in second
    assert trial.said[-1] == "2 cases: 2 same"


def test_the_old_arms_results_are_kept(trial, sessions):
    sessions.new = [document(case("a")), document(case("a", "changed"))]
    assert trial.run()
    assert not trial.run()
    assert sessions.pythons() == ["old", "new", "new"]


@pytest.mark.parametrize("change", ["old lock", "a file of the project"])
def test_another_environment_or_project_has_its_own_results(trial, sessions, change):
    trial.run()
    if change == "old lock":
        other = Environment("old", Lock({"peft": "peft==0"}), Path("old"))
        object.__setattr__(trial, "old", other)
    else:
        Path("conftest.py").write_text("x = 1\n")
    trial.run()
    assert sessions.pythons() == ["old", "new"] * 2


def test_cases_that_stay_open_run_again_with_more_seeds(trial, sessions):
    few = document(case("a"), case("b", "undecided", "open"))
    sessions.new = [few, document(case("b", "undecided", "open")), document(case("b", "worse"))]
    assert not trial.run()
    assert sessions.pythons() == ["old", "new"] * 3
    for _, arguments in sessions.commands[2:]:
        assert "--deselect=a" in arguments
        assert "--deselect=b" not in arguments
    seeds = [
        [text for text in arguments if "-seeds=" in text] for _, arguments in sessions.commands
    ]
    one, three = ["--ftcompare-seeds=1"], ["--ftcompare-seeds=3"]
    assert seeds == [one, one, three, [], [], []]
    assert trial.said[-1] == "2 cases: 1 worse, 1 same"


def test_claims_are_judged_with_few_seeds_if_a_case_did_not_repeat(trial, sessions):
    sessions.has_claims = True
    assert trial.run()
    assert sessions.pythons() == ["old", "new"]
    moved = document(case("a"), case("b", "same", "open"))
    claim = {"nodeid": "c", "failed": True}
    sessions.new = [moved, document(case("a"), case("b"), claims=[claim])]
    assert not trial.run()
    (_, arguments) = sessions.commands[-1]
    assert "ftcompare or ftcompare_claims" in arguments
    assert not any(text.startswith("--deselect") for text in arguments)


@pytest.mark.parametrize(
    ("verdict", "findings", "passes"),
    [
        ("same", [], True),
        ("undecided", [UNJUDGED], False),
        ("same", ["accuracy is 1.7 points lower on average over 36 cases"], False),
    ],
)
def test_what_one_seed_could_not_compare_is_settled_by_more(
    trial, sessions, verdict, findings, passes
):
    one = document(case("a"), case("b", "undecided", "open"), findings=[UNJUDGED])
    three = document(case("b", verdict), findings=findings)
    sessions.new = [one, three, three]
    assert trial.run() is passes


@pytest.mark.parametrize(
    ("finding", "stays"),
    [
        ("accuracy is 1.7 points lower on average over 36 cases", False),
        ("step is 2.7 % slower on average over 36 cases", True),
    ],
)
def test_more_seeds_judge_all_cases_scores_again_but_not_their_times(
    trial, sessions, finding, stays
):
    one = document(case("a"), case("b", "undecided", "open"), findings=[finding])
    sessions.new = [one, document(case("b"))]
    assert trial.run() is not stays


def test_a_case_that_fails_in_the_old_environment_is_left_out_and_told(trial, sessions):
    sessions.old = [document(case("a"), case("b", "invalid"))]
    sessions.new = [document(case("a")), document(case("a"))]
    assert trial.run()
    assert "--deselect=b" in sessions.commands[1][1]
    assert "b fails in this environment, and is left out" in trial.said
    assert trial.run()
    assert "--deselect=b" in sessions.commands[2][1]


FAILED_TEST = {"tests/test_mine.py::test_x": "assert 1 == 2"}


@pytest.mark.parametrize("fails_in_old", [True, False])
def test_a_test_that_is_no_case_fails_the_command_if_it_passes_in_the_old_environment(
    trial, sessions, fails_in_old
):
    sessions.new = [document(case("a"), findings=[OTHER_TESTS_FAILED])]
    sessions.failed_tests = {"new": FAILED_TEST, "old-others": FAILED_TEST if fails_in_old else {}}
    assert trial.run() is fails_in_old
    assert sessions.pythons() == ["old", "new", "old"]
    assert sessions.commands[2][1][-2:] == ["-m", "not (ftcompare or ftcompare_claims)"]
    told = "tests/test_mine.py::test_x fails in "
    told += "both environments" if fails_in_old else "the changed only: assert 1 == 2"
    assert told in trial.said


@pytest.mark.parametrize(
    ("arguments", "expression"),
    [
        (["suites", "-k", "x"], "a or b"),
        (["-m", "slow", "-m", "not grid"], "(not grid) and (a or b)"),
        (["-mslow or grid"], "(slow or grid) and (a or b)"),
    ],
)
def test_marks_that_the_arguments_choose_still_hold(arguments, expression):
    assert marked(arguments, "a or b") == expression


def test_only_cases_run_in_the_old_environment(trial, sessions):
    trial.run()
    (_, first), (_, second) = sessions.commands
    assert first[first.index("-m") + 1] == "ftcompare"
    assert second[second.index("-m") + 1] == "not ftcompare_claims"


@pytest.mark.parametrize("status", [0, 5])
def test_claims_are_looked_for_by_collecting(trial, monkeypatch, status):
    commands = []

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setattr(try_upgrade.subprocess, "run", run)
    assert trial._has_claims() is (status == 0)
    (command,) = commands
    assert command[-3:] == ["-m", "ftcompare_claims", "--collect-only"]


def test_cases_that_all_fail_in_the_old_environment_are_refused(trial, sessions):
    sessions.old = [document(case("a", "invalid"))]
    with pytest.raises(TryError, match="every case fails in this environment"):
        trial.run()


def test_that_every_case_failed_is_not_kept_in_the_cache(trial, sessions):
    sessions.old = [document(case("a", "invalid"))]
    with pytest.raises(TryError):
        trial.run()
    sessions.old = [document(case("a"))]
    assert trial.run()


def test_a_case_that_ends_without_a_verdict_in_the_old_environment_is_left_out(trial, sessions):
    crashed = "suites/test_a.py::test_case[b]"
    sessions.failed_tests["old"] = {crashed: "worker 'gw0' crashed"}
    sessions.old, sessions.new = [document(case("a"))], [document(case("a"))]
    assert trial.run()
    assert f"{crashed} fails in this environment, and is left out" in trial.said
    assert f"--deselect={crashed}" in sessions.commands[-1][1]


def test_times_that_were_not_compared_are_told(trial, sessions):
    cost = {"unit": "s", "outcome": "incomparable", "note": "no reference: disturbed"}
    sessions.new = [document(case("a", costs=[cost, cost]))]
    assert trial.run()
    assert trial.said[-2:] == [
        "2 times not compared: no reference: disturbed",
        "1 case: 1 same",
    ]


@pytest.mark.parametrize(
    "few",
    [
        document(case("a", "changed")),
        document(case("a"), findings=["step is slower on average"]),
    ],
    ids=["a case", "all together"],
)
def test_what_fails_the_gate_fails_the_command(trial, sessions, few):
    sessions.new = [few]
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
    sessions.status = 0
    assert trial.run()
    assert sessions.pythons() == ["old", "old", "new"]


def test_two_trials_at_once_are_refused(trial, sessions):
    lock = (trial.results / trial._key()).with_suffix(".lock")
    trial.results.mkdir()
    with (
        FileLock(lock),
        pytest.raises(TryError, match="another process compares with this env"),
    ):
        trial.run()
    assert sessions.commands == []


def test_tests_that_are_no_cases_can_be_tried_alone(trial, sessions):
    """Neither stage collects a case, and the new environment's tests decide."""

    def run(python, arguments, folder, name):
        folder.mkdir(parents=True, exist_ok=True)
        sessions.commands.append((str(python), arguments))
        return Session(5) if name != "new" else Session(0, document(), {})

    sessions.monkeypatch.setattr(try_upgrade, "run_session", run)
    assert trial.run()
    assert sessions.pythons() == ["old", "new"]


def test_a_session_that_fails_as_a_whole_has_no_broken_test(trial, sessions):
    """The plugin's own report of it is in JUnit's format, and only cases are collected."""
    finding = "step is 2.7 % slower on average over 36 cases"
    sessions.new = [document(case("a"), findings=[finding])]
    sessions.failed_tests = {"new": {SESSION_NODEID: finding}}
    assert not trial.run()
    assert sessions.pythons() == ["old", "new"]
    assert finding in trial.said


@pytest.mark.parametrize(("outcome", "passes"), [("equivalent", True), ("open", False)])
def test_an_accepted_loss_settles_no_other_score(trial, sessions, outcome, passes):
    sessions.new = [document(case("a", "worse", outcome, allowed=True))] * 3
    assert trial.run() is passes
    assert len(sessions.commands) == (2 if passes else 6)
