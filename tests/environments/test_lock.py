"""A lock names what an environment has, as pip installs it."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_ftcompare.environments import lock
from pytest_ftcompare.environments.lock import Lock, Move, is_release, line_from, read_constraints


@pytest.mark.parametrize(
    ("origin", "line"),
    [
        ({}, "peft==0.21.2"),
        ({"url": "https://files/peft.whl", "archive_info": {}}, "peft @ https://files/peft.whl"),
        ({"url": "file:///my%20code/peft", "dir_info": {"editable": True}}, "-e /my code/peft"),
        ({"url": "file:///code/peft", "dir_info": {}}, "peft @ file:///code/peft"),
        (
            {"url": "https://git/peft", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "peft @ git+https://git/peft@abc",
        ),
        (
            {"url": "file:///a.zip", "archive_info": {}, "subdirectory": "python"},
            "peft @ file:///a.zip#subdirectory=python",
        ),
    ],
)
def test_a_line_installs_a_distribution_from_where_it_came(origin, line):
    assert line_from("peft", "0.21.2", origin) == line


def test_this_environment_has_what_python_imports_and_no_installer():
    here = lock.installed_lock()
    assert {"torch", "transformers", "peft", "pytest-ftcompare"} <= here.lines.keys()
    assert here.lines.keys().isdisjoint({"pip", "uv"})


def test_moves_say_what_came_and_what_went():
    old = Lock({"peft": "peft==0.20.0", "numpy": "numpy==2.0", "gone": "gone==1"})
    new = old.overlaid({"peft": "-e /code/peft", "tokenizers": "tokenizers==1"})
    moves = [
        Move("peft", "0.20.0", "-e /code/peft"),
        Move("tokenizers", "", "1"),
    ]
    assert old.moves_to(new) == moves
    assert [str(move) for move in moves] == [
        "peft 0.20.0 -> -e /code/peft",
        "tokenizers not installed -> 1",
    ]
    assert old.moves_to(old) == []


def test_a_digest_is_of_the_lines_in_any_order():
    first = Lock({"a": "a==1", "b": "b==1"})
    assert first.digest() == Lock({"b": "b==1", "a": "a==1"}).digest()
    assert first.digest() != first.overlaid({"a": "a==2"}).digest()
    assert first.text() == "a==1\nb==1\n"


def test_metadata_in_the_working_folder_is_not_what_is_installed(tmp_path, monkeypatch):
    info = tmp_path / "pytest_ftcompare.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: pytest-ftcompare\nVersion: 9\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert lock.installed()["pytest-ftcompare"].version == "9"
    monkeypatch.chdir(tmp_path)
    assert lock.installed()["pytest-ftcompare"].version != "9"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "my code"
    folder.mkdir()
    (folder / "code.py").write_text("VALUE = 1\n")
    return folder


def digests(line):
    here = Lock({"mine": line})
    return here.digest(), here.content_digest()


def test_a_checkouts_content_counts_for_results_and_not_for_environments(folder):
    before = digests(f"-e {folder}")
    (folder / "report.html").write_text("written by a session")
    assert digests(f"-e {folder}") == before
    (folder / "code.py").write_text("VALUE = 2\n")
    after = digests(f"-e {folder}")
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)


@pytest.mark.parametrize("name", ["", "code.py"])
def test_the_content_of_a_local_folder_or_file_counts_for_both(folder, name):
    line = f"mine @ {(folder / name).as_uri()}"
    before = digests(line)
    assert digests(line) == before
    (folder / "code.py").write_text("VALUE = 2\n")
    after = digests(line)
    assert (after[0] == before[0], after[1] == before[1]) == (False, False)


def test_a_local_folder_that_is_installed_again_counts(folder, monkeypatch):
    line = f"mine @ {folder.as_uri()}"
    installed = SimpleNamespace(read_text=lambda file: "code.py,sha256=a,9")
    monkeypatch.setattr(lock, "distribution", lambda name: installed)
    before = digests(line)
    installed.read_text = lambda file: "code.py,sha256=b,9"
    assert digests(line)[0] != before[0]


def test_constraints_are_read_without_comments(tmp_path):
    file = tmp_path / "old.txt"
    file.write_text("# made by hand\n\npeft==0.20.0  # before the upgrade\n numpy>=2 # x\n")
    assert read_constraints(file) == [(3, "peft==0.20.0"), (4, "numpy>=2")]


def test_the_origin_of_an_editable_install_is_read(tmp_path):
    class Installed:
        name, version = "pytest-ftcompare", "0.1.0"

        def read_text(self, file):
            assert file == "direct_url.json"
            url = Path("/code/gate").as_uri()
            return json.dumps({"url": url, "dir_info": {"editable": True}})

    assert lock.line_of(Installed()) == "-e /code/gate"


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("torch==2.13.0+cpu", "2.13.0"),
        ("peft==0.20.0", "0.20.0"),
        ("-e /code/peft", ""),
        ("peft @ git+https://x@abc", ""),
        ("", ""),
    ],
)
def test_only_a_release_has_a_version_to_search(line, version):
    assert is_release(line) == version
