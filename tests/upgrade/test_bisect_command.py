"""The command bisect verifies both ends, searches between them, and tells and writes the answer."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from documents import make_document

from pytest_ftcompare.__main__ import main
from pytest_ftcompare.environments.installer import InstallError
from pytest_ftcompare.environments.lock import Lock
from pytest_ftcompare.upgrade import bisect_command, entries, failed_report
from pytest_ftcompare.upgrade.gate_run import GateRuns, RunResult, Sign
from pytest_ftcompare.upgrade.noisy_search import Measurement

HERE = Lock({"peft": "peft==4", "torch": "torch==1"})
SIGN = Sign("lora", "changed", "gradient norm", "gradient norm 1 -> 2")
EXPECTED = Sign("tests/test_norm.py::test", "expected to fail", "test", "the norm is 8 times 1")
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

    def index(self):
        return ""


@pytest.fixture(autouse=True)
def gate(monkeypatch, tmp_path):
    """Answer for each lock by `gate.fails`, and return the locks that ran."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FTCOMPARE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bisect_command, "find_installer", FakeInstaller)
    monkeypatch.setattr(bisect_command, "installed_lock", lambda: HERE)
    monkeypatch.setattr(entries, "installed_lock", lambda: HERE)
    monkeypatch.setattr(entries, "changelog_link", lambda name: f"https://changes/{name}")
    monkeypatch.setattr(GateRuns, "make_baselines", lambda self: None)
    FakeInstaller.refuses = False
    monkeypatch.setattr(FakeInstaller, "available", ("4", "3", "2", "1"))

    answers = SimpleNamespace(
        ran=[],
        times={},
        expected=(),
        error=0.01,
        fails=lambda lines: lines["peft"] in ("peft==3", "peft==4"),
    )

    def run(self, entry):
        self.count += 1
        answers.ran.append(dict(entry.lock.lines))
        return RunResult(
            [SIGN] if answers.fails(entry.lock.lines) else [],
            expected=[EXPECTED] if entry.lock.lines["peft"] in answers.expected else [],
        )

    def time(self, entry, repeat):
        """Measure the change of a step; with more than 5 %, the case fails."""
        self.count += 1
        if (change := answers.times.get(entry.lock.lines["peft"])) is None:
            return RunResult([], unmeasured="no reference: disturbed")
        signs = [Sign("lora", "worse", "cost", "step +20.0%", "step")] if change > 0.05 else []
        return RunResult(signs, measured={"lora: step": Measurement(change, answers.error)})

    monkeypatch.setattr(GateRuns, "run", run)
    monkeypatch.setattr(GateRuns, "time", time)
    return answers


def lines(capsys):
    return [
        line.removeprefix("ftcompare bisect: ") for line in capsys.readouterr().out.splitlines()
    ]


def test_the_first_bad_release_is_told_and_written(tmp_path, capsys):
    assert main(["bisect", *ARGUMENTS]) == 0
    told = lines(capsys)
    assert {"last good: peft 2", "first bad: peft 3"} <= set(told)
    assert {f"sign: {SIGN}", "changes: https://changes/peft"} <= set(told)
    assert told[-1].startswith("4 of 4 entries tried in 4 sessions, ")
    answer = json.loads((tmp_path / "ftcompare-bisect.json").read_text())
    assert (answer["last_good"], answer["first_bad"]) == ("peft 2", "peft 3")
    assert answer["sign"] == str(SIGN)
    assert answer["locks"][1] == ["peft==3", "torch==1"]
    assert [entry["state"] for entry in answer["entries"]] == ["good", "good", "bad", "bad"]


def test_a_release_that_does_not_resolve_is_skipped_and_told(capsys):
    FakeInstaller.refuses = True
    assert main(["bisect", *ARGUMENTS]) == 0
    told = lines(capsys)
    assert {"last good: peft 1", "first bad: peft 3"} <= set(told)
    assert "between them, peft 2 (skipped) was not settled: it may be the first bad one" in told


def test_a_sweep_tells_what_is_out_of_order(gate, capsys):
    gate.fails = lambda lines: lines["peft"] in ("peft==2", "peft==4")
    assert main(["bisect", "--sweep", *ARGUMENTS]) == 0
    assert "out of order: peft 2 is bad" in lines(capsys)


def test_a_sweep_finds_where_an_expected_failure_of_both_ends_is_not(gate, capsys):
    gate.fails = lambda lines: False
    gate.expected = ("peft==1", "peft==3", "peft==4")
    assert main(["bisect", "--sweep", *ARGUMENTS]) == 0
    told = lines(capsys)
    assert {"peft 1: bad, too", "last good: peft 2", "first bad: peft 3"} <= set(told)
    assert {f"sign: {EXPECTED}", "out of order: peft 1 is bad"} <= set(told)


def test_an_expected_failure_of_each_entry_is_no_history(gate, capsys):
    gate.fails = lambda lines: False
    gate.expected = tuple(f"peft=={number}" for number in range(1, 5))
    assert main(["bisect", "--sweep", *ARGUMENTS]) == 2
    assert "each entry from peft 1 to peft 4 has the failure" in capsys.readouterr().err


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
        (
            lambda lines: False,
            "expected a test that fails in peft 4, all pass, and its times were not",
        ),
        (lambda lines: True, "expected tests that pass in peft 1, against their own results lora"),
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
        (["--good", "peft==4", "--", "x"], "expected two different ends, both have the same"),
        (["--good", "peft=>4 ==", "--", "x"], "expected a requirement such as"),
        (["--package", "peft", "--", "x"], "expected --good, or --from with the JSON report"),
        (["--from", "x.json", "--good", "1"], "--from gives both ends: leave --package,"),
        (["--from", "x.json"], "--from: expected a JSON report, x.json: No such file"),
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
    assert (answer["last_good"], answer["first_bad"]) == ("peft 4", "peft 5")


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


def test_the_bad_end_is_this_environment_by_default(gate, capsys):
    assert main(["bisect", "--good", "peft==1", "--", "suites"]) == 0
    assert {"last good: peft 2", "first bad: peft 3"} <= set(lines(capsys))


def test_a_package_without_an_installed_release_needs_a_bad_end(gate, monkeypatch, capsys):
    monkeypatch.setattr(bisect_command, "installed_lock", lambda: Lock({"peft": "-e /peft"}))
    assert main(["bisect", "--package", "peft", "--good", "1", "--", "suites"]) == 2
    assert "expected --bad, as no release of peft is installed here" in capsys.readouterr().err


TIMES = {"peft==1": 0.0, "peft==2": 0.0, "peft==3": 0.2, "peft==4": 0.2}


@pytest.fixture
def slow(gate):
    """A history in which nothing but a step's time changes, at peft 3."""
    gate.fails = lambda lines: False
    gate.times = dict(TIMES)
    return gate


def test_a_time_is_searched_if_nothing_else_fails(slow, tmp_path, capsys):
    slow.error = 0.04
    assert main(["bisect", *ARGUMENTS]) == 0
    told = lines(capsys)
    assert {"last good: peft 2", "first bad: peft 3"} <= set(told)
    assert "sign: lora: worse, cost: step +20.0%" in told
    answer = json.loads((tmp_path / "ftcompare-bisect.json").read_text())
    assert 0.95 <= answer["probability"] < 1
    assert told[-1].endswith(f"probability {answer['probability']:.1%}")
    assert answer["tried"] == 4 < answer["sessions"]


def test_an_entry_that_measures_something_else_is_told(slow, capsys):
    slow.times |= {"peft==2": 0.9}
    assert main(["bisect", *ARGUMENTS]) == 0
    assert any(line.startswith("peft 2 measures neither nothing nor") for line in lines(capsys))


def test_a_sweep_of_times_tells_what_is_out_of_order(slow, capsys):
    slow.times |= {"peft==2": 0.2, "peft==3": 0.0}
    assert main(["bisect", "--sweep", *ARGUMENTS]) == 0
    told = lines(capsys)
    assert {"last good: peft 3", "first bad: peft 4", "out of order: peft 2 is bad"} <= set(told)


def test_an_entry_whose_time_cannot_be_measured_is_skipped(slow, capsys):
    del slow.times["peft==2"]
    assert main(["bisect", *ARGUMENTS]) == 0
    told = lines(capsys)
    assert "peft 2: skipped (no reference: disturbed)" in told
    assert "between them, peft 2 (skipped) was not settled: it may be the first bad one" in told


def test_a_change_that_does_not_stand_out_is_refused(slow, capsys):
    slow.times |= {"peft==4": 0.051}
    slow.fails = lambda lines: False
    GateRuns.time, time = (
        (
            lambda self, entry, repeat: RunResult(
                [Sign("lora", "worse", "cost", "step +5.1%", "step")],
                measured={"lora: step": Measurement(slow.times[entry.lock.lines["peft"]], 0.03)},
            )
        ),
        GateRuns.time,
    )
    assert main(["bisect", *ARGUMENTS]) == 2
    sentence = "expected a change in peft 4 that stands out of its noise, step +5.2%, standard"
    assert sentence in capsys.readouterr().err
    GateRuns.time = time


def test_ends_in_the_wrong_order_are_told(slow, capsys):
    slow.times = {name: -change for name, change in TIMES.items()}
    assert main(["bisect", *ARGUMENTS]) == 2
    assert "it measures better: are the ends in the wrong order?" in capsys.readouterr().err


def test_packages_are_told_apart_by_time_too(files, slow, monkeypatch, capsys):
    assert main(["bisect", *files]) == 0
    told = lines(capsys)
    assert "peft decides: its releases are next" in told
    assert {"last good: peft 2", "first bad: peft 3"} <= set(told)


def test_later_entries_that_change_the_failure_again_are_told(gate, monkeypatch, capsys):
    def run(self, entry):
        number = int(entry.lock.lines["peft"][-1])
        text = f"gradient norm 1 -> {number}"
        return RunResult([Sign("lora", "changed", "gradient norm", text)] if number > 1 else [])

    monkeypatch.setattr(GateRuns, "run", run)
    assert main(["bisect", *ARGUMENTS]) == 0
    assert any(
        line.startswith("the failure has other numbers there (gradient norm 1 -> 2): later")
        for line in lines(capsys)
    )


def test_other_failures_of_the_bad_end_are_other_searches(gate, monkeypatch, capsys):
    other = Sign("vera", "invalid", "invariant", "merged, outputs must be equal")

    def run(self, entry):
        return RunResult(
            [SIGN, other] if entry.lock.lines["peft"] in ("peft==3", "peft==4") else []
        )

    monkeypatch.setattr(GateRuns, "run", run)
    assert main(["bisect", *ARGUMENTS]) == 0
    assert f"peft 4 fails in 1 other ways, which are other searches: {other}" in lines(capsys)


@pytest.fixture
def report(tmp_path, monkeypatch):
    """The report of a session in which lora failed, with peft 1 in its baseline and 4 here."""
    monkeypatch.setattr(failed_report, "versions", lambda: {"peft": "4", "torch": "1"})
    document = make_document(8)
    for case in document["cases"]:
        case["failed"] = case["id"] == document["cases"][0]["id"]
    case = document["cases"][0]
    change = {"base": "1", "new": "4"}
    case["changes"] = [change | {"name": "peft"}, change | {"name": "methods/lora.py"}]
    case["baseline"] = {"environment": {"peft": "1"}, "seed_results": []}
    case["rerun"] = f"pytest --ftcompare-profile=pocket '{case['nodeid']}'"
    path = tmp_path / "failed.json"
    path.write_text(json.dumps(document))
    return path


def test_a_failed_sessions_report_gives_both_ends_and_the_cases(report, gate, monkeypatch, capsys):
    commands = []
    init = GateRuns.__init__

    def keep(self, *arguments):
        commands.append(arguments[3])
        init(self, *arguments)

    monkeypatch.setattr(GateRuns, "__init__", keep)
    nodeid = json.loads(report.read_text())["cases"][0]["nodeid"]
    assert main(["bisect", "--from", str(report)]) == 0
    assert commands[0] == ["--ftcompare-profile=pocket", nodeid]
    told = lines(capsys)
    assert {"last good: peft 2", "first bad: peft 3"} <= set(told)
    assert told[-1].startswith(f"{report} has the answer, too")
    (answer,) = json.loads(report.read_text())["bisections"]
    assert answer["first_bad"] == "peft 3"
    for ending in (".md", ".html"):
        page = report.with_suffix(ending)
        assert main(["report", str(report), str(page)]) == 0
        text = page.read_text()
        assert "What made it fail" in text
        assert "first bad: peft 3" in text


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda case: case.update(failed=False), "expected a case that failed against its base"),
        (lambda case: case.update(changes=[]), "failed with its baseline's libraries, so no re"),
        (
            lambda case: case["changes"][0].update(base="1 edited 12ab"),
            "has a baseline of peft 1 edited 12ab, which no index has",
        ),
        (lambda case: case["changes"][0].update(new="3"), "with peft 3, here is 4: run it where"),
    ],
)
def test_a_report_without_anything_to_search_is_refused(report, gate, capsys, edit, sentence):
    document = json.loads(report.read_text())
    edit(document["cases"][0])
    report.write_text(json.dumps(document))
    assert main(["bisect", "--from", str(report)]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.startswith("ERROR: --from: ")
    assert gate.ran == []


def test_a_known_fault_is_searched_if_the_good_end_has_it_not(gate, monkeypatch, capsys):
    """The good end fails for one known reason, the bad end for another one, too."""
    test = Sign("t.py::x", "expected to fail", "test", "the loss is too large")
    both = replace(test, text="the loss is too large; the norm is too large")

    def run(self, entry):
        is_bad = entry.lock.lines["peft"] in ("peft==3", "peft==4")
        return RunResult([], expected=[both if is_bad else test])

    monkeypatch.setattr(GateRuns, "run", run)
    assert main(["bisect", *ARGUMENTS]) == 0
    assert {"last good: peft 2", "first bad: peft 3", f"sign: {both}"} <= set(lines(capsys))


def test_a_packages_name_may_be_written_otherwise(gate, capsys):
    assert main(["bisect", "--package", "PEFT", *ARGUMENTS[2:]]) == 0
    assert all(set(lines) == {"peft", "torch"} for lines in gate.ran)


@pytest.mark.parametrize("build", ["cpu evil@https://evil/evil-1-py3-none-any.whl", "cpu;x"])
def test_a_build_in_a_report_is_no_requirement(report, gate, capsys, build):
    document = json.loads(report.read_text())
    document["cases"][0]["baseline"]["environment"]["peft build"] = build
    report.write_text(json.dumps(document))
    assert main(["bisect", "--from", str(report)]) == 2
    assert "--from: expected the build of peft such as cpu, got" in capsys.readouterr().err
    assert gate.ran == []


def test_only_options_that_choose_what_runs_are_taken_from_a_report(report, gate, monkeypatch):
    document = json.loads(report.read_text())
    rerun = "pytest -p evil --ftcompare-hub='/my hub' --ftcompare-seeds=3 x"
    document["cases"][0]["rerun"] = rerun
    report.write_text(json.dumps(document))
    assert failed_report.read(report).arguments[:-1] == ["--ftcompare-hub=/my hub"]


def test_building_a_commits_copy_leaves_its_results_valid(tmp_path, monkeypatch):
    """A build writes files into the copy, whose folder's name already tells its content."""
    place = tmp_path / "copy"
    (place / "peft").mkdir(parents=True)
    monkeypatch.setattr(entries, "installed_lock", lambda: HERE)
    monkeypatch.setattr(entries, "commits_between", lambda *_: ["abc"])
    monkeypatch.setattr(entries, "describe_commit", lambda _, commit: commit)
    monkeypatch.setattr(entries, "files_of", lambda *_: place)
    installer = SimpleNamespace(resolve=lambda requirements: {"peft": requirements[0]})
    history = entries.of_checkout(tmp_path, "abc", "abc", installer, tmp_path)
    before = history.make(0).key
    (place / "peft" / "built.py").write_text("x = 1\n")
    assert history.make(0).key == before
