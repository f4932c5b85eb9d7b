"""The environment has digests of every file that computes a case."""

from dataclasses import replace

from test_architecture import FILES, layer_of, loaded_with

from pytest_ftcompare import methods, tasks
from pytest_ftcompare.measure import environment
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


def test_what_a_projects_files_import_is_in_a_digest(tmp_path, monkeypatch):
    """Files of a project's own import others by their full names."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "last_layer.py").write_text(
        "import theirs.deep.er\n"
        "from pytest_ftcompare.methods.partial import Partial\n"
        "from theirs import helpers, missing\n"
        "def late():\n    import torch, numpy.linalg\n"
    )
    (tmp_path / "theirs" / "helpers.py").write_text("from pytest_ftcompare.tasks import rouge\n")
    (tmp_path / "theirs" / "deep").mkdir()
    (tmp_path / "theirs" / "deep" / "er.py").write_text("import json\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(methods.ADDED, "last_layer", tmp_path / "theirs" / "last_layer.py")
    judged = replace(
        tasks.load("pocket_requests"), score=Judge(tmp_path / "theirs" / "last_layer.py", "late")
    )
    monkeypatch.setitem(tasks.ADDED, "judged", judged)

    def digests():
        return environment.source_digests("last_layer", "judged")

    first = digests()
    assert set(first) >= {"what methods/last_layer.py builds on", "judge last_layer.py"}
    for name in ("helpers.py", "deep/er.py"):
        before = digests()
        with (tmp_path / "theirs" / name).open("a") as file:
            file.write("edited = True\n")
        changed = {key for key, value in digests().items() if before[key] != value}
        assert changed == {"what methods/last_layer.py builds on", "judge last_layer.py"}
    partial = methods.file_of("partial")
    assert partial in environment._with_imports(tmp_path / "theirs" / "last_layer.py")
