"""The command bisect verifies both ends, searches between them, and tells and writes the answer."""

import json
from types import SimpleNamespace

import pytest

from pytest_ftcompare.__main__ import main
from pytest_ftcompare.environments.installer import InstallError
from pytest_ftcompare.environments.lock import Lock
from pytest_ftcompare.upgrade import bisect_command
from pytest_ftcompare.upgrade.gate_run import GateRuns, RunResult, Sign

HERE = Lock({"peft": "peft==4", "torch": "torch==1"})
SIGN = Sign("lora", "changed", "gradient norm", "gradient norm 1 -> 2")
ARGUMENTS = ["--package", "peft", "--good", "1", "--bad", "4", "--", "suites", "-k", "lora"]


class FakeInstaller:
    def __init__(self, options):
        pass

    available = ("4", "3", "2", "1")

    def versions(self, name):
        return list(self.available)

    def resolve(self, requirements):
        if "peft==2" in requirements and FakeInstaller.refuses:
            raise InstallError("no wheel")
        lines = {line.partition("==")[0]: line for line in requirements}
        # pip reports nothing that is installed already.
        return {name: line for name, line in lines.items() if HERE.lines[name] != line}


@pytest.fixture(autouse=True)
def gate(monkeypatch, tmp_path):
    """Answer for each lock by `gate.fails`, and return the locks that ran."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FTCOMPARE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bisect_command, "find_installer", FakeInstaller)
    monkeypatch.setattr(bisect_command, "installed_lock", lambda: HERE)
    monkeypatch.setattr(GateRuns, "make_baselines", lambda self, entry: None)
    FakeInstaller.refuses = False
    monkeypatch.setattr(FakeInstaller, "available", ("4", "3", "2", "1"))

    answers = SimpleNamespace(ran=[], fails=lambda lines: lines["peft"] in ("peft==3", "peft==4"))

    def run(self, entry):
        answers.ran.append(dict(entry.lock.lines))
        return RunResult([SIGN] if answers.fails(entry.lock.lines) else [])

    monkeypatch.setattr(GateRuns, "run", run)
    return answers


def lines(capsys):
    return [
        line.removeprefix("ftcompare bisect: ") for line in capsys.readouterr().out.splitlines()
    ]


def test_the_first_bad_release_is_told_and_written(tmp_path, capsys):
    assert main(["bisect", *ARGUMENTS]) == 0
    told = lines(capsys)
    assert {"last good: peft 2", "first bad: peft 3"} <= set(told)
    assert told[-1] == f"sign: {SIGN}; 4 of 4 entries run"
    answer = json.loads((tmp_path / "ftcompare-bisect.json").read_text())
    assert (answer["last good"], answer["first bad"]) == ("peft 2", "peft 3")
    assert answer["sign"]["level"] == "gradient norm"
    assert answer["locks"][1] == ["peft==3", "torch==1"]
    assert [entry["state"] for entry in answer["entries"]] == ["good", "good", "bad", "bad"]


def test_a_release_that_does_not_resolve_is_skipped_and_told(capsys):
    FakeInstaller.refuses = True
    assert main(["bisect", *ARGUMENTS]) == 0
    told = lines(capsys)
    assert {"last good: peft 1", "first bad: peft 3"} <= set(told)
    assert "between them, peft 2 is skipped: it may be the first bad one" in told


def test_a_sweep_tells_what_is_out_of_order(gate, capsys):
    gate.fails = lambda lines: lines["peft"] in ("peft==2", "peft==4")
    assert main(["bisect", "--sweep", *ARGUMENTS]) == 0
    assert "out of order: peft 2 is bad" in lines(capsys)


@pytest.fixture
def files(tmp_path):
    """Two files of constraints that differ in peft and torch."""
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("peft==1\ntorch==1\n")
    bad.write_text("peft==4\ntorch==2\n")
    return ["--good", str(good), "--bad", str(bad), "--", "suites"]


def test_the_package_that_decides_is_found_and_then_its_release(files, gate, capsys):
    assert main(["bisect", *files]) == 0
    told = lines(capsys)
    assert "peft decides: its releases are next" in told
    assert {"last good: peft 2", "first bad: peft 3"} <= set(told)
    # The releases are tried beside the bad end's other versions.
    assert gate.ran[-1]["torch"] == "torch==2"


def test_packages_that_act_together_are_told(files, gate, capsys):
    gate.fails = lambda lines: (lines["peft"], lines["torch"]) == ("peft==4", "torch==2")
    assert main(["bisect", *files]) == 2
    error = capsys.readouterr().err
    assert "changed back alone, the bad end passes with peft, torch; " in error
    assert "changed alone, the good end fails with none" in error


@pytest.mark.parametrize(
    ("fails", "sentence"),
    [
        (lambda lines: False, "expected a case that fails in peft 4, all pass: choose"),
        (lambda lines: True, "expected cases that pass in peft 1, against their own results lora"),
    ],
)
def test_an_end_that_is_not_what_it_is_called_is_refused(gate, capsys, fails, sentence):
    gate.fails = fails
    assert main(["bisect", *ARGUMENTS]) == 2
    assert capsys.readouterr().err.startswith(f"ERROR: {sentence}")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (ARGUMENTS[:6], "expected the failing cases as pytest's arguments after --"),
        (
            ["--package", "peft", "--good", "1", "--bad", "9", "--", "x"],
            "the index has no release 9",
        ),
        (["--package", "peft", "--checkout", ".", *ARGUMENTS[2:]], "expected --package or"),
        (
            [*ARGUMENTS, "-x"],
            "expected arguments that choose cases, such as suites -k lora, got",
        ),
        (["--json", "no/x.json", *ARGUMENTS], "--json: expected a file in a folder that exists"),
        (["--package", "peft", "--good", "4", "--bad", "4", "--", "x"], "expected two different"),
        (["--good", "a.txt", "--bad", "b.txt", "--", "x"], "expected a file of constraints, a.txt"),
        (["--checkout", ".", *ARGUMENTS[2:]], ".: not a git repository"),
    ],
)
def test_a_wrong_value_is_one_sentence(gate, capsys, arguments, sentence):
    assert main(["bisect", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"ERROR: {sentence}")
    assert len(error.splitlines()) == 1
    assert gate.ran == []


def test_the_installed_release_is_not_the_bad_ends(tmp_path, gate):
    """The installed release lies between both files' releases."""
    (tmp_path / "good.txt").write_text("peft==1\n")
    (tmp_path / "bad.txt").write_text("peft==5\n")
    FakeInstaller.available = ("5", "4", "3", "2", "1")
    gate.fails = lambda lines: lines["peft"] == "peft==5"
    assert main(["bisect", "--good", "good.txt", "--bad", "bad.txt", "--", "suites"]) == 0
    answer = json.loads((tmp_path / "ftcompare-bisect.json").read_text())
    assert (answer["last good"], answer["first bad"]) == ("peft 4", "peft 5")


def test_nothing_that_could_be_tried_is_no_answer(gate, capsys):
    FakeInstaller.refuses = True
    arguments = ["--package", "peft", "--good", "1", "--bad", "3", "--", "suites"]
    assert main(["bisect", *arguments]) == 2
    assert "nothing between both ends tells them apart: peft==2 does not" in capsys.readouterr().err


def test_an_interruption_says_how_to_go_on(monkeypatch, capsys):
    def interrupt(self, entry):
        raise KeyboardInterrupt

    monkeypatch.setattr(GateRuns, "run", interrupt)
    assert main(["bisect", *ARGUMENTS]) == 130
    assert "the same command goes on" in capsys.readouterr().err
