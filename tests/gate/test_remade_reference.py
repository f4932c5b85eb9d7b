"""A baseline's environment is made again, or refused in one sentence; nothing is installed here."""

import sys
from pathlib import Path

import pytest
from make_results import make_result

from pytest_ftcompare.environments.checkout import CheckoutError
from pytest_ftcompare.environments.environment_cache import EnvironmentRefused
from pytest_ftcompare.environments.lock import Lock
from pytest_ftcompare.gate import remade_reference
from pytest_ftcompare.gate.project_config import ProjectConfig
from pytest_ftcompare.gate.remade_reference import RemadeReference
from pytest_ftcompare.gate.remote import PROTOCOL, RemoteError
from pytest_ftcompare.measure import environment
from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.result import digest

HERE = Lock({"peft": "peft==0.21.2", "pytest-ftcompare": "-e /gate"})
PYTHON = "{}.{}.0".format(*sys.version_info[:2])
DIGESTS = {"methods/full.py": "a", "methods/base.py": "b", "judge mine.py": "c"}
MADE = "/cache/bin/python"


class FakeCache:
    """Makes no environment: `asked` are the locks of all caches."""

    def __init__(self, folder, installer):
        self.folder = folder

    def get(self, lock, say):
        say("installing peft==0.20.0")
        self.asked.append(dict(lock.lines))
        if self.fails:
            raise self.fails
        return Path(MADE)


@pytest.fixture
def cache(monkeypatch):
    """Replace what reads or makes environments, commits and digests."""

    class Cache(FakeCache):
        asked, fails = [], None

    monkeypatch.setattr(remade_reference, "EnvironmentCache", Cache)
    monkeypatch.setattr(remade_reference, "find_installer", lambda options: None)
    monkeypatch.setattr(remade_reference, "installed_lock", lambda: HERE)
    monkeypatch.setattr(remade_reference, "versions", lambda: {"peft": "0.21.2 edited abc"})
    monkeypatch.setattr(remade_reference, "read_version", lambda _: {"protocol": PROTOCOL})
    monkeypatch.setattr(environment, "source_digests", lambda method, task: DIGESTS)
    monkeypatch.setattr(remade_reference, "find_commit", lambda _, commit: f"{commit}-in-full")
    monkeypatch.setattr(remade_reference, "files_of", lambda _, commit, folder: folder / commit)
    return Cache


@pytest.fixture
def python_for(tmp_path, cache):
    """A function that returns the interpreter for a baseline with a lock and these entries."""
    said = []

    def find(lock="peft==0.21.2\n", project=None, **entries):
        result = make_result(
            [0.1],
            identity={"method": "full", "task": "pocket_cola"},
            environment={
                **{
                    "python": PYTHON,
                    "device": "cpu",
                    "commit": "123",
                    "distributions": digest(lock),
                },
                **{"peft": "0.21.2", "methods/full.py": "a", "methods/base.py": "b"},
                **{"judge mine.py": "c"},
            }
            | entries,
        )
        if lock:
            baseline_store.write(
                tmp_path / "baselines", {"cpu": [result]}, locks={digest(lock): lock}
            )
        find.reference = find.reference or RemadeReference(
            tmp_path / "baselines", project or ProjectConfig(), Path("/project"), tmp_path / "cache"
        )
        return str(find.reference.python_for(result, said.append))

    find.said, find.reference = said, None
    return find


def commit_has_server(tmp_path):
    file = tmp_path / "cache" / "commits" / "123-in-full" / remade_reference.SERVER_FILE
    file.parent.mkdir(parents=True)
    file.touch()
    return tmp_path / "cache" / "commits" / "123-in-full"


def test_an_equal_environment_with_the_same_code_is_this_one(python_for, cache):
    assert python_for() == sys.executable
    assert cache.asked == []


def test_other_distributions_are_made_once_with_the_code_that_runs_here(python_for, cache):
    assert python_for("peft==0.20.0\n") == python_for("peft==0.20.0\n") == MADE
    assert cache.asked == [{"peft": "peft==0.20.0", "pytest-ftcompare": "-e /gate"}]
    assert python_for.said == [
        "making the reference's environment",
        "making the reference's environment  installing peft==0.20.0",
    ]
    python_for("peft==0.19.0\n")
    assert len(cache.asked) == 2


def test_other_code_is_taken_from_the_baselines_commit(python_for, cache, tmp_path):
    folder = commit_has_server(tmp_path)
    assert python_for(**{"methods/full.py": "older"}) == MADE
    assert cache.asked == [{"peft": "peft==0.21.2", "pytest-ftcompare": f"-e {folder}"}]


def test_a_file_that_the_case_executes_only_now_is_other_code(python_for, tmp_path, monkeypatch):
    commit_has_server(tmp_path)
    now = DIGESTS | {"methods/new.py": "d"}
    monkeypatch.setattr(environment, "source_digests", lambda method, task: now)
    assert python_for() == MADE


def test_other_code_is_the_recorded_release(python_for, cache):
    lock = "peft==0.21.2\npytest-ftcompare==0.1.0\n"
    assert python_for(lock) == sys.executable
    assert python_for(lock, **{"methods/full.py": "older"}) == MADE
    assert cache.asked == [{"peft": "peft==0.21.2", "pytest-ftcompare": "pytest-ftcompare==0.1.0"}]


def test_an_edited_checkout_serves_if_its_files_are_the_baselines(python_for, monkeypatch):
    here = HERE.overlaid({"peft": "-e /peft"})
    monkeypatch.setattr(remade_reference, "installed_lock", lambda: here)
    assert python_for("-e peft\n", peft="0.21.2 edited abc") == sys.executable
    with pytest.raises(RemoteError, match=r"^peft was an edited checkout .*: update the baseline"):
        python_for("-e peft\n", peft="0.21.2 edited def")


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({"python": "3.9.1"}, "its baseline is of Python 3.9, this is Python 3"),
        ({"methods/full.py": "x", "commit": "123+edits"}, "code was commit 123 with edits, which"),
        ({"methods/full.py": "x", "commit": "unknown"}, "of the commit unknown, and this pytest-f"),
        ({"judge mine.py": "x"}, "judge mine.py is this project's and has changed, so that"),
        ({"methods/full.py": "x"}, "commit 123, cannot be timed beside this one, as it has no pyt"),
        ({"lock": "trl @ file:trl.whl\n"}, "trl was installed from a local file .*: update the"),
        ({"lock": "", "distributions": "gone"}, "gone.txt, which cannot be read .*: restore it"),
    ],
)
def test_what_cannot_be_made_again_is_one_sentence(entries, sentence, python_for, cache):
    with pytest.raises(RemoteError, match=sentence):
        python_for(**entries)
    assert cache.asked == []


def test_an_older_baseline_is_one_sentence(python_for, cache):
    result = make_result([0.1])
    python_for()
    with pytest.raises(RemoteError, match=r"^its baseline was made before baselines recorded"):
        python_for.reference.python_for(result, print)


def test_a_changed_method_of_the_project_is_refused(python_for):
    project = ProjectConfig(methods={"full": Path("/project/full.py")})
    with pytest.raises(RemoteError, match=r"^methods/full.py is this project's and has changed"):
        python_for(project=project, **{"methods/full.py": "x"})


def test_a_commit_that_the_checkout_lacks_is_refused(python_for, monkeypatch):
    def lack(checkout, commit):
        raise CheckoutError("a shallow clone: get it with `git fetch --unshallow`")

    monkeypatch.setattr(remade_reference, "find_commit", lack)
    with pytest.raises(
        RemoteError, match=r"^a shallow clone: get it with `git fetch --unshallow`$"
    ):
        python_for(**{"methods/full.py": "x"})


@pytest.mark.parametrize("line", ["pytest-ftcompare==0.1.0", ""])
def test_a_commit_needs_a_checkout(line, python_for, monkeypatch):
    here = Lock({"peft": "peft==0.21.2"} | ({"pytest-ftcompare": line} if line else {}))
    monkeypatch.setattr(remade_reference, "installed_lock", lambda: here)
    sentence = "is no checkout that has it" if line else "is not installed in this environment"
    with pytest.raises(RemoteError, match=sentence):
        python_for(**{"methods/full.py": "x"})


def test_what_was_refused_once_is_not_tried_again(python_for, cache):
    cache.fails = EnvironmentRefused("the new environment cannot be installed: no peft 0.20.0")
    for _ in range(2):
        with pytest.raises(RemoteError, match=r"^it cannot be made: .* no peft 0.20.0"):
            python_for("peft==0.20.0\n")
    assert len(cache.asked) == 1


@pytest.mark.parametrize("protocol", [None, 99])
def test_code_that_times_otherwise_is_refused(protocol, python_for, monkeypatch):
    monkeypatch.setattr(remade_reference, "read_version", lambda _: {"protocol": protocol})
    with pytest.raises(RemoteError, match=f"by protocol {protocol}, this code by {PROTOCOL}: upd"):
        python_for("peft==0.20.0\n")
