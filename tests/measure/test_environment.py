"""The environment has digests of every file that computes a case."""

import sys
from dataclasses import replace

import pytest
from test_architecture import FILES, layer_of, loaded_with

from pytest_ftcompare import methods, tasks
from pytest_ftcompare.measure import environment
from pytest_ftcompare.measure.source_digest import digest
from pytest_ftcompare.tasks.judge import Judge

COMPUTING = {"tasks", "training", "checks", "measure"}
ADDED = {
    f"pytest_ftcompare.tasks.{name}" for name in ("custom", "labels", "judge")
}  # tasks of a project's own


def test_every_file_that_computes_a_case_is_in_a_digest(monkeypatch):
    digested = []
    monkeypatch.setattr(environment, "digest", lambda files: digested.extend(map(str, files)) or "")
    environment.source_digests("lora", "pocket_cola")
    loaded = loaded_with("pytest_ftcompare.gate.torch_case")
    computing = {
        str(FILES[name]) for name in loaded - ADDED if name in FILES and layer_of(name) in COMPUTING
    }
    assert len(computing) > 50
    assert not computing - set(digested)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose method and judge, in one file, import others of the project."""
    files = {
        "pyproject.toml": "",
        "theirs/__init__.py": "",
        "theirs/last_layer.py": "import json, numpy.linalg, this\n"
        "import theirs.deep.er\n"
        "from pytest_ftcompare.methods.partial import Partial\n"
        "from theirs import helpers, missing\n"
        "def late():\n    from theirs.scores import f1\n",
        "theirs/helpers.py": "from . import words\nfrom .plain import g\n"
        "from pytest_ftcompare.tasks import rouge\n",
        "theirs/words.py": "",
        "theirs/plain.py": "from . import helpers\n",
        "theirs/deep/er.py": "",
        "theirs/scores/__init__.py": "",
        "theirs/alone.py": "",
        "env/lib/python3.11/this.py": "",  # the standard library of an environment in the project
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "env" / "lib" / "python3.11")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(methods.ADDED, "last_layer", tmp_path / "theirs" / "last_layer.py")
    judge = Judge(tmp_path / "theirs" / "last_layer.py", "late")
    judged = replace(tasks.load("pocket_requests"), score=judge)
    monkeypatch.setitem(tasks.ADDED, "judged", judged)
    return tmp_path


def test_what_a_projects_files_import_is_in_a_digest(project):
    def digests():
        return environment.source_digests("last_layer", "judged")

    imported = ("__init__", "helpers", "words", "plain", "deep/er", "scores/__init__", "alone")
    for name in imported:
        before = digests()
        with (project / "theirs" / f"{name}.py").open("a") as file:
            file.write("edited = True\n")
        changed = {key for key, value in digests().items() if before[key] != value}
        both = {"what methods/last_layer.py builds on", "judge last_layer.py"}
        assert changed == (both if name != "alone" else set()), name
    found = environment._with_imports(project / "theirs" / "last_layer.py")
    assert methods.file_of("partial") in found
    theirs = [path for path in found if path.is_relative_to(project)]
    assert all(path.is_relative_to(project / "theirs") for path in theirs)
    assert "theirs" not in sys.modules


def test_a_digest_does_not_depend_on_the_folders(tmp_path):
    files = {"a/x.py": "1", "b/y.py": "2", "b/x.py": "2", "a/y.py": "1"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    first, second = (
        [tmp_path / name for name in names]
        for names in (("a/x.py", "b/y.py"), ("b/x.py", "a/y.py"))
    )
    assert digest([tmp_path / "a/x.py", tmp_path / "b/y.py"]) != digest(second)
    (tmp_path / "b/x.py").write_text("1")
    (tmp_path / "a/y.py").write_text("2")
    assert digest(first) == digest(second)
