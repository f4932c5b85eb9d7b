"""What pip and uv say is read into lines, and an error into its sentence."""

import json
import os
import re
import subprocess
import sysconfig
import venv
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_ftcompare.environments import installer
from pytest_ftcompare.environments.installer import InstallError, Pip, Uv, find_installer

REPORT = {
    "install": [
        {
            "metadata": {"name": "PEFT", "version": "0.20.0"},
            "is_direct": False,
            "download_info": {"url": "https://files/peft.whl", "archive_info": {}},
        },
        {
            "metadata": {"name": "mine", "version": "1"},
            "is_direct": True,
            "download_info": {"url": "file:///code/mine", "dir_info": {"editable": True}},
        },
        {
            "metadata": {"name": "trl", "version": "1"},
            "is_direct": True,
            "download_info": {"url": "file:///code/trl.whl", "archive_info": {}},
        },
    ]
}
UV_OUTPUT = """\
Resolved 30 packages in 12ms
Would download 1 package
Would install 5 packages
 - peft==0.21.2
 + peft==0.20.0
 + mine @ file:///my%20code/mine
 + copied @ file:///my%20code/copied
 + trl @ file:///code/trl.whl
 + forked @ git+https://git/forked@abc
"""
UV_LINES = {
    "peft": "peft==0.20.0",
    "mine": "-e /my code/mine",
    "copied": "copied @ file:///my%20code/copied",
    "trl": "trl @ file:///code/trl.whl",
    "forked": "forked @ git+https://git/forked@abc",
}


@pytest.fixture
def commands(monkeypatch):
    """Answer commands with `answer`, and return them."""
    called = []

    def run(command, **_):
        called.append([str(part) for part in command])
        return run.answer

    run.answer = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(installer.subprocess, "run", run)
    return SimpleNamespace(called=called, run=run)


def answer(commands, status=0, out="", err=""):
    commands.run.answer = subprocess.CompletedProcess([], status, out, err)


def test_pip_reports_what_a_change_installs(commands):
    answer(commands, out=json.dumps(REPORT))
    lines = Pip(["--no-index"]).resolve(["peft==0.20.0", "-e /my code/mine"])
    assert lines == {
        "peft": "PEFT==0.20.0",
        "mine": "-e /code/mine",
        "trl": "trl @ file:///code/trl.whl",
    }
    assert commands.called[0][-4:] == ["--no-index", "peft==0.20.0", "-e", "/my code/mine"]
    assert "--dry-run" in commands.called[0]


@pytest.mark.parametrize("older", [False, True])
def test_uv_reports_what_a_change_installs(commands, older):
    output = re.sub(r" @ (\S+)", r"==1 (from \1)", UV_OUTPUT) if older else UV_OUTPUT
    answer(commands, err=output)
    assert Uv([]).resolve(["peft==0.20.0", "-e /my code/mine"]) == UV_LINES
    assert "--dry-run" in commands.called[0]


@pytest.mark.parametrize("kind", [Pip, Uv])
def test_an_installation_takes_the_lines_and_nothing_else(commands, kind):
    kind([]).install(Path("/new/bin/python"), ["peft==0.20.0"])
    (command,) = commands.called
    assert {"--no-deps", "/new/bin/python", "peft==0.20.0"} <= set(command)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "WARNING: x\nERROR: Could not find a version that satisfies peft==99\nERROR: none\n",
            "Could not find a version that satisfies peft==99",
        ),
        (
            "error: No solution found\n  cause: Because there is no version of peft==99\n",
            "No solution found: Because there is no version of peft==99",
        ),
        ("something else\n", "something else"),
        ("", "no reason given"),
    ],
)
def test_an_error_is_the_installers_first_sentence(commands, text, sentence):
    answer(commands, 1, err=text)
    with pytest.raises(InstallError) as error:
        Pip([]).resolve(["peft==99"])
    assert str(error.value) == sentence


PIP_CHECK = "peft 0.20.0 requires torch, which is not installed.\n"
UV_CHECK = "Found 1 incompatibility\nThe package `peft` requires `torch`, but it's not installed\n"


@pytest.mark.parametrize(("kind", "out", "err"), [(Pip, PIP_CHECK, ""), (Uv, "", UV_CHECK)])
def test_conflicts_are_the_lines_of_a_check_that_fails(commands, kind, out, err):
    answer(commands, 1, out, err)
    (conflict,) = kind([]).conflicts(Path("/python"))
    assert (conflict.package, conflict.requirement) == ("peft", "torch")
    answer(commands, 0, out="No broken requirements found.\n")
    assert kind([]).conflicts(Path("/python")) == []


def test_a_missing_installer_is_no_conflict(commands):
    answer(commands, 1, out="tools 1 requires pip, which is not installed.\n")
    assert Pip([]).conflicts(Path("/python")) == []


@pytest.mark.parametrize("kind", [Pip, Uv])
def test_a_check_that_could_not_run_is_refused(commands, kind):
    answer(commands, 2, err="Usage:\n\nERROR: no such option: --python\n")
    with pytest.raises(InstallError, match="cannot be checked: no such option: --python"):
        kind([]).conflicts(Path("/python"))


def test_uv_serves_an_environment_without_pip(monkeypatch):
    assert isinstance(find_installer([]), Pip)
    monkeypatch.setattr(installer.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(installer.shutil, "which", lambda name: "/bin/uv")
    assert isinstance(find_installer([]), Uv)
    monkeypatch.setattr(installer.shutil, "which", lambda name: None)
    with pytest.raises(InstallError, match=r"expected pip .* or uv .*: run `\S+ -m ensurepip`"):
        find_installer([])


@pytest.fixture
def wheels(tmp_path):
    """A folder with the wheel of a package of one module, `tiny`."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        info = "tiny-1.0.dist-info"
        wheel.writestr("tiny.py", "VALUE = 1\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        files = ("tiny.py", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD")
        wheel.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in files))
    return folder


@pytest.mark.parametrize("kind", [Pip, Uv])
def test_a_wheel_is_resolved_and_installed_into_a_new_environment(
    kind, wheels, tmp_path, monkeypatch
):
    """The real pip and uv run, without a network."""
    scripts = sysconfig.get_path("scripts")
    monkeypatch.setenv("PATH", scripts, prepend=os.pathsep)
    options = ["--no-index", "--find-links", str(wheels), "--only-binary", ":all:"]
    here = kind(options)
    lines = here.resolve(["tiny"])
    assert lines == {"tiny": "tiny==1.0"}
    venv.create(tmp_path / "new", with_pip=False)
    python = tmp_path / "new" / "bin" / "python"
    here.install(python, list(lines.values()))
    done = subprocess.run(
        [python, "-c", "import tiny; print(tiny.VALUE)"], capture_output=True, text=True
    )
    assert done.stdout == "1\n"
    assert here.conflicts(python) == []
    with pytest.raises(InstallError, match="tiny"):
        here.resolve(["tiny==2.0"])


CONFIGURATION = "global.index-url='https://a/simple'\n:env:.index-url='https://b/simple'\n"


@pytest.mark.parametrize(
    ("options", "configuration", "index"),
    [
        ([], "global.extra-index-url='https://c'\n", installer.PYPI),
        ([], CONFIGURATION, "https://b/simple"),
        (["--index-url", "https://d", "--no-index"], CONFIGURATION, "https://d"),
        (["--no-index"], CONFIGURATION, ""),
    ],
)
def test_the_index_is_the_options_or_the_configurations(commands, options, configuration, index):
    answer(commands, out=configuration)
    assert Pip(options).index() == index
    if options or "index-url='https://b" not in configuration:
        assert Uv(options).index() == index


def test_a_pip_without_configuration_uses_pypi(commands):
    answer(commands, 1, err="ERROR: no config")
    assert Pip([]).index() == installer.PYPI
