"""The command line of try and cache: a wrong value is one sentence, and nothing is touched."""

import sys
from pathlib import Path

import pytest

from pytest_ftcompare.__main__ import main
from pytest_ftcompare.environments import cache_folder
from pytest_ftcompare.environments.installer import InstallError
from pytest_ftcompare.environments.lock import Lock
from pytest_ftcompare.upgrade import command
from pytest_ftcompare.upgrade.try_upgrade import Trial

HERE = Lock({"peft": "peft==0.21.2", "torch": "torch==2.13.0"})


class FakeInstaller:
    def __init__(self, options):
        self.options = options

    def resolve(self, requirements):
        if "peft==99" in requirements:
            raise InstallError("Could not find a version that satisfies the requirement peft==99")
        return {"peft": "peft==0.20.0", "tokenizers": "tokenizers==1"}


@pytest.fixture(autouse=True)
def trials(monkeypatch, tmp_path):
    """Run no case: return the trials that would run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FTCOMPARE_CACHE", str(tmp_path / "cache"))
    ran = []

    def run(self):
        ran.append(self)
        return run.passes

    run.passes = True
    monkeypatch.setattr(Trial, "run", run)
    monkeypatch.setattr(command, "find_installer", FakeInstaller)
    monkeypatch.setattr(command, "installed_lock", lambda: HERE)
    monkeypatch.setattr(
        command.EnvironmentCache, "get", lambda self, lock, say: self.folder / lock.digest()
    )
    return ran


def test_a_change_is_tried_against_this_environment(trials, capsys):
    assert main(["try", "peft==0.20.0", "--", "suites", "-k", "lora"]) == 0
    (trial,) = trials
    assert trial.old.lock == HERE
    assert trial.new.lock.lines["peft"] == "peft==0.20.0"
    assert trial.arguments == ["suites", "-k", "lora"]
    assert capsys.readouterr().out.splitlines() == [
        "ftcompare try: peft 0.21.2 -> 0.20.0",
        "ftcompare try: tokenizers not installed -> 1 (came along)",
    ]


def test_a_checkout_is_asked_for_and_what_it_brings_came_along(
    monkeypatch, tmp_path, trials, capsys
):
    (tmp_path / "pyproject.toml").touch()
    lines = {"peft": f"-e {tmp_path}", "tokenizers": "tokenizers==1"}
    monkeypatch.setattr(FakeInstaller, "resolve", lambda *_: lines)
    assert main(["try", "-e", "."]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"ftcompare try: peft 0.21.2 -> -e {tmp_path}",
        "ftcompare try: tokenizers not installed -> 1 (came along)",
    ]


def test_changes_stand_on_any_side_of_an_option(monkeypatch, tmp_path, trials):
    (tmp_path / "pyproject.toml").touch()
    asked = []

    def resolve(self, requirements):
        asked.append(requirements)
        return {"peft": "peft==0.20.0"}

    monkeypatch.setattr(FakeInstaller, "resolve", resolve)
    assert main(["try", "a==1", "-e", ".", "b==2"]) == 0
    assert main(["try", "-e", ".", "a==1", "b==2"]) == 0
    assert asked == [["a==1", "b==2", f"-e {tmp_path}"]] * 2


@pytest.mark.parametrize(
    ("arguments", "unknown"),
    [(["try", "a==1", "--bogus", "b==2"], "--bogus"), (["cache", "show", "more"], "more")],
)
def test_an_unknown_argument_is_an_error_of_usage(arguments, unknown, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert f"unrecognized arguments: {unknown}" in capsys.readouterr().err


def test_the_status_is_the_gates(monkeypatch, trials):
    monkeypatch.setattr(Trial, "run", lambda self: False)
    assert main(["try", "peft==0.20.0"]) == 1


def test_the_installer_gets_indexes_and_takes_wheels_only(monkeypatch, trials):
    made = []

    def find(options):
        made.append(options)
        return FakeInstaller(options)

    monkeypatch.setattr(command, "find_installer", find)
    main(["try", "peft==0.20.0", "--extra-index-url", "https://a", "--offline"])
    main(["try", "peft==0.20.0", "--source"])
    wheels = ["--only-binary", ":all:"]
    assert made == [["--extra-index-url", "https://a", "--no-index", *wheels], []]


def test_two_files_of_constraints_are_compared(tmp_path, trials):
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("torch==2.13.0\n")
    new.write_text("peft==0.20.0\nnot-installed==1\n")

    class Resolver(FakeInstaller):
        def resolve(self, requirements):
            return {line.partition("==")[0]: line for line in requirements}

    command.find_installer = Resolver
    assert main(["try", "--old", str(old), "--new", str(new)]) == 0
    (trial,) = trials
    assert trial.old.lock == HERE
    assert trial.new.lock == HERE.overlaid({"peft": "peft==0.20.0"})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], 'expected a change, such as "transformers==5.24.0" or -e ../peft'),
        (["peft=0.20"], "expected a requirement such as"),
        (["peft==99"], "peft==99 does not resolve: Could not find a version that satisfies"),
        (["-e", "nowhere"], "-e: expected a checkout with a pyproject.toml, nowhere has none"),
        (["--old", "a.txt"], "expected both --old and --new, or neither and a change"),
        (["--old", "a.txt", "--new", "a.txt"], "expected a file of constraints, a.txt: No such"),
        (["x", "--old", "a.txt", "--new", "a.txt"], "expected --old and --new, or changes"),
        (["x", "--itself"], "expected --itself, or a change, got both"),
        (["--itself", "--old", "a.txt", "--new", "a.txt"], "expected --itself, or a change, got"),
    ],
)
def test_a_wrong_value_is_one_sentence(arguments, sentence, trials, capsys):
    assert main(["try", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"ERROR: {sentence}")
    assert len(error.splitlines()) == 1
    assert trials == []


def test_a_change_that_is_installed_already_is_refused(monkeypatch, trials, capsys):
    monkeypatch.setattr(FakeInstaller, "resolve", lambda *_: {"peft": "peft==0.21.2"})
    assert main(["try", "peft"]) == 2
    assert "nothing would change" in capsys.readouterr().err


def test_an_environment_can_be_compared_with_itself(trials):
    assert main(["try", "--itself"]) == 0
    (trial,) = trials
    assert trial.old.lock == trial.new.lock
    assert trial.old.python == trial.new.python == Path(sys.executable)
    assert trial.new.name == "this environment again"


def test_constraints_on_nothing_installed_are_refused(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("unknown==1\n")
    assert main(["try", "--old", "a.txt", "--new", "a.txt"]) == 2
    assert "it constrains nothing that is installed here" in capsys.readouterr().err


def test_an_interruption_says_how_to_go_on(monkeypatch, capsys):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trial, "run", interrupt)
    assert main(["try", "peft==0.20.0"]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def no_installer(options):
    raise InstallError("there is neither pip nor uv")


def test_the_cache_is_shown_and_removed(tmp_path, monkeypatch, capsys):
    place = tmp_path / "cache" / "environments" / "abc"
    place.mkdir(parents=True)
    (place / "lock.txt").write_text("peft==1\n")
    (tmp_path / "cache" / "CACHEDIR.TAG").write_text(cache_folder.MARK_TEXT)
    monkeypatch.setattr(command, "find_installer", no_installer)
    assert main(["cache", "show"]) == 0
    assert main(["cache", "clean"]) == 0
    shown, cleaned = capsys.readouterr().out.splitlines()
    assert shown.endswith(": holds 1 environment, 0 MiB")
    assert cleaned.endswith(": removed 1 environment, 0 MiB")
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_is_no_cache_is_not_removed(tmp_path, capsys):
    (tmp_path / "cache").mkdir()
    assert main(["cache", "clean"]) == 2
    assert capsys.readouterr().err.startswith("ERROR: expected a folder that ftcompare made")
    assert (tmp_path / "cache").is_dir()


def test_a_cache_that_is_a_file_is_one_sentence(tmp_path, capsys):
    (tmp_path / "cache").touch()
    assert main(["try", "peft==0.20.0"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ERROR: expected a folder for the cache, got")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("option", [["--ftcompare-cache-dir", "other"], []])
def test_an_option_names_the_caches_folder(option, tmp_path, trials, capsys):
    place = tmp_path / ("other" if option else "cache")
    assert main(["try", *option, "peft==0.20.0"]) == 0
    assert trials[0].results == place / "results"
    assert place.is_dir()
    assert main(["cache", "show", *option]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{place}: holds ")
