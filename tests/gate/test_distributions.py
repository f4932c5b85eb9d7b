"""Each result names the distributions of the environment that ran it; their text lies once."""

import pytest
from make_results import make_result

from pytest_ftcompare.environments.lock import Lock
from pytest_ftcompare.gate import distributions
from pytest_ftcompare.gate.distributions import read_locks, record_distributions


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """A function that says which version of peft is installed."""

    def install(version):
        here = Lock({"peft": f"peft=={version}", "gate": f"-e {tmp_path}"})
        monkeypatch.setattr(distributions, "installed_lock", lambda: here)
        distributions._lock_text.cache_clear()

    yield install
    distributions._lock_text.cache_clear()


def test_a_result_names_its_lock_in_the_run_folder(installed, tmp_path):
    names = []
    for version in ("1", "1", "2"):
        installed(version)
        result = record_distributions(make_result([0.1]), tmp_path / "run", tmp_path)
        names.append(result.environment["distributions"])
        assert result.environment["torch"] == "2.13.0"
    assert names[0] == names[1] != names[2]
    assert read_locks(tmp_path / "run") == {names[0]: "peft==1\n", names[2]: "peft==2\n"}


def test_a_run_without_a_case_has_no_lock(tmp_path):
    assert read_locks(tmp_path) == {}
