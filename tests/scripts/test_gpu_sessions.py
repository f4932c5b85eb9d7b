"""The pieces of `make gpu` that run pytest sessions."""

import math

import pytest

from pytest_ftcompare.measure import gpu_assignment
from scripts.gpu import sessions
from scripts.gpu.card import Card
from scripts.gpu.piece import OutOfTime, Run, Skipped
from scripts.gpu.record import Record
from scripts.gpu.scope import Scope

# In place of the plugin: it takes its options and writes a document.
PLUGIN = """
import json
from pathlib import Path


def pytest_addoption(parser):
    for option in ("--ftcompare-device", "--ftcompare-report"):
        parser.addoption(option)
    for option in ("--update-baselines-new-only", "--ftcompare-resume"):
        parser.addoption(option, action="store_true")


def pytest_sessionfinish(session):
    document = {"cases": [{}] * session.testscollected, "counts": {"new": 1}}
    Path(session.config.option.ftcompare_report).write_text(json.dumps(document))
"""


@pytest.fixture
def run_of(tmp_path, monkeypatch):
    """Return a function that makes the run of a project with one test, and a deadline."""
    monkeypatch.setattr(gpu_assignment, "GPU_TYPE", "cpu")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:pytest_ftcompare.plugin -p no:cacheprovider")
    monkeypatch.delenv("PYTEST_PLUGINS")
    (tmp_path / "conftest.py").write_text(PLUGIN)
    (tmp_path / "suites").mkdir()

    def make(test, deadline=math.inf):
        (tmp_path / "suites" / "test_tiny.py").write_text(f"def test_tiny():\n    {test}\n")
        record = Record.open(tmp_path / "pocket.json", "pocket", Card("gpu", "0", 1), {})
        scope = Scope(root=tmp_path, suites=("tiny",), suite_options=(), real_hub=None)
        return Run(scope, record, deadline)

    return make


def test_a_suite_is_recorded_with_its_cases_and_verdicts(run_of):
    units = sessions.POCKET.units(run_of("pass"))
    assert units["tiny"]() == {"cases": 1, "verdicts": {"new": 1}}


def test_a_session_that_runs_no_case_fails_with_its_last_line(run_of):
    run = run_of("pass")
    (run.scope.root / "suites" / "test_tiny.py").write_text("")
    with pytest.raises(
        RuntimeError, match=r"expected pytest to run cases, it ran none \(status 5\)"
    ):
        sessions.POCKET.units(run)["tiny"]()


def test_a_session_is_interrupted_when_the_time_is_up(run_of):
    run = run_of("import threading; threading.Event().wait()", deadline=-math.inf)
    with pytest.raises(OutOfTime):
        sessions.POCKET.units(run)["tiny"]()


def test_the_versions_are_written_beside_the_baselines(run_of):
    run = run_of("pass")
    count = sessions.POCKET.units(run)["constraints.txt"]()["packages"]
    lines = (run.scope.root / "baselines" / "cpu" / "constraints.txt").read_text().splitlines()
    assert len(lines) == count and any(line.startswith("torch==") for line in lines)
    assert not any(line.startswith("pytest-ftcompare==") for line in lines)


def test_without_a_hub_folder_real_models_are_skipped(run_of):
    with pytest.raises(Skipped, match="expected a hub folder with real models in FTCOMPARE_HUB"):
        sessions.REAL.units(run_of("pass"))
