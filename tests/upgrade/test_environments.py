"""Environments are made whole or not at all, kept by their lock, and share what did not change."""

import errno
from importlib.metadata import PackagePath

import pytest

from pytest_ftcompare.upgrade import environments
from pytest_ftcompare.upgrade.environments import EnvironmentCache, EnvironmentRefused
from pytest_ftcompare.upgrade.installer import InstallError
from pytest_ftcompare.upgrade.lock import Lock

LOCK = Lock({"small": "small==1", "peft": "peft==2"})


class Small:
    """An installed distribution of one module and one command."""

    name, version = "small", "1"

    def __init__(self, folder):
        self._folder = folder
        (folder / "small").mkdir()
        (folder / "small" / "code.py").write_text("VALUE = 1\n")
        self.files = [PackagePath("small/code.py"), PackagePath("../../bin/small")]

    def read_text(self, file):
        return None

    def locate_file(self, file):
        return self._folder / file


class FakeInstaller:
    """Installs an empty file for each line; `fails` raises instead."""

    def __init__(self):
        self.installed, self.fails, self.found = [], None, []

    def install(self, python, lines):
        if self.fails:
            raise self.fails
        self.installed.append(lines)

    def conflicts(self, python):
        return self.found if "environments" in str(python) else ["known conflict"]


@pytest.fixture
def installer():
    return FakeInstaller()


@pytest.fixture
def small(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    distribution = Small(here)
    monkeypatch.setattr(environments, "installed", lambda: {"small": distribution})
    monkeypatch.setattr(environments, "IMPORTS", ("json",))
    return distribution


@pytest.fixture
def cache(tmp_path, installer, small):
    return EnvironmentCache(tmp_path / "cache", installer)


def silent(text):
    pass


def test_what_did_not_change_is_linked_and_the_rest_installed(cache, installer, small):
    said = []
    python = cache.get(LOCK, said.append)
    (linked,) = python.parents[1].rglob("small/code.py")
    assert linked.samefile(small.locate_file("small/code.py"))
    assert installer.installed == [["peft==2"]]
    assert said == ["installing peft==2"]
    assert not list(python.parent.glob("small*"))


def test_an_environment_is_made_once(cache, installer):
    assert cache.get(LOCK, silent) == cache.get(LOCK, silent)
    assert len(installer.installed) == 1
    assert cache.get(LOCK.overlaid({"peft": "peft==3"}), silent) != cache.get(LOCK, silent)
    assert installer.installed[1:] == [["peft==3"]]


def test_a_file_that_cannot_be_linked_is_copied(cache, small, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "another device")

    monkeypatch.setattr(environments.os, "link", refuse)
    (copied,) = cache.get(LOCK, silent).parents[1].rglob("small/code.py")
    assert copied.read_text() == "VALUE = 1\n"
    assert not copied.samefile(small.locate_file("small/code.py"))


def test_a_distribution_whose_files_are_unknown_is_installed(cache, installer, small):
    small.files = None
    cache.get(LOCK, silent)
    assert installer.installed == [["small==1", "peft==2"]]


def refused(cache, error):
    with pytest.raises(EnvironmentRefused, match=error):
        cache.get(LOCK, silent)
    left = [path.name for path in (cache.folder / "environments").iterdir() if path.is_dir()]
    assert left == []


def test_what_cannot_be_installed_leaves_nothing(cache, installer):
    installer.fails = InstallError("no matching distribution")
    refused(cache, "it cannot be installed: no matching distribution")


def test_a_full_disk_leaves_nothing(cache, installer):
    installer.fails = OSError(errno.ENOSPC, "No space left on device")
    refused(cache, "no space is left for an environment in .*cache clean")


def test_another_error_of_the_disk_is_raised(cache, installer):
    installer.fails = PermissionError(errno.EACCES, "denied")
    with pytest.raises(PermissionError):
        cache.get(LOCK, silent)


def test_a_new_conflict_is_refused_and_a_known_one_is_not(cache, installer):
    installer.found = ["known conflict"]
    cache.get(LOCK, silent)
    installer.found = ["known conflict", "peft 2 requires torch>=3."]
    with pytest.raises(EnvironmentRefused, match=r"does not fit .*: peft 2 requires torch>=3: "):
        cache.get(LOCK.overlaid({"peft": "peft==3"}), silent)


def test_libraries_that_do_not_load_are_refused(cache, monkeypatch):
    monkeypatch.setattr(environments, "IMPORTS", ("no_such_library",))
    refused(cache, "its libraries do not load: ModuleNotFoundError: No module named")


def test_environments_used_longest_ago_are_removed(tmp_path, installer, small):
    cache = EnvironmentCache(tmp_path / "cache", installer, limit=1.0)
    first = cache.get(LOCK, silent)
    second = cache.get(LOCK.overlaid({"peft": "peft==3"}), silent)
    assert not first.exists()
    assert cache.places() == [second.parents[1]]


def test_the_cache_is_removed_and_its_own_bytes_counted(cache):
    cache.get(LOCK, silent)
    size = cache.size()
    assert size > 0
    assert cache.clean() == size
    assert (cache.size(), cache.places(), cache.folder.exists()) == (0.0, [], False)


def test_the_folder_is_named_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("FTCOMPARE_CACHE", str(tmp_path))
    assert environments.default_cache() == tmp_path
    monkeypatch.delenv("FTCOMPARE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert str(environments.default_cache()) == "/caches/ftcompare"
