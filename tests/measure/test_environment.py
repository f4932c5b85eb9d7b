"""The environment has digests of every file that computes a case."""

from test_architecture import FILES, layer_of, loaded_with

from pytest_ftcompare.measure import environment

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
