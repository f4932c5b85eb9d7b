"""Environments are made whole or not at all, kept by their lock, and share what did not change."""

import errno
import os
from importlib.metadata import PackagePath

import pytest

from pytest_ftcompare.environments import environment_cache
from pytest_ftcompare.environments.cache_folder import LOCK_FILE, environments_in
from pytest_ftcompare.environments.conflicts import Conflict
from pytest_ftcompare.environments.environment_cache import EnvironmentCache, EnvironmentRefused
from pytest_ftcompare.environments.installer import InstallError
from pytest_ftcompare.environments.lock import Lock

KNOWN = Conflict("foo", "torch<2", "foo 1 has requirement torch<2, but you have torch 2.13.0.")
LOCK = Lock({"small": "small==1", "peft": "peft==2"})


class Small:
    """An installed distribution of one module and one command."""

    name, version = "small", "1"

    def __init__(self, folder):
        self._folder = folder
        (folder / "small").mkdir()
        (folder / "small" / "code.py").write_text("VALUE = 1\n")
        self.record = "small/code.py,,"
        self.files = [PackagePath("small/code.py"), PackagePath("../../bin/small")]

    def read_text(self, file):
        return {"RECORD": self.record}.get(file)

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
        return self.found if "environments" in str(python) else [KNOWN]


@pytest.fixture
def installer():
    return FakeInstaller()


@pytest.fixture
def small(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    distribution = Small(here)
    monkeypatch.setattr(environment_cache, "installed", lambda: {"small": distribution})
    monkeypatch.setattr(environment_cache, "IMPORTS", ("json",))
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

    monkeypatch.setattr(environment_cache.os, "link", refuse)
    (copied,) = cache.get(LOCK, silent).parents[1].rglob("small/code.py")
    assert copied.read_text() == "VALUE = 1\n"
    assert not copied.samefile(small.locate_file("small/code.py"))


def test_a_distribution_whose_files_are_unknown_is_installed(cache, installer, small):
    small.files = None
    cache.get(LOCK, silent)
    assert installer.installed == [["small==1", "peft==2"]]


def test_a_distribution_without_a_record_is_installed(cache, installer, small):
    """The list of an egg-info has the files of the source, such as setup.py."""
    small.record = None
    cache.get(LOCK, silent)
    assert installer.installed == [["small==1", "peft==2"]]


def refused(cache, error):
    with pytest.raises(EnvironmentRefused, match=error):
        cache.get(LOCK, silent)
    left = [path.name for path in (cache.folder / "environments").iterdir() if path.is_dir()]
    assert left == []


def test_what_cannot_be_installed_leaves_nothing(cache, installer):
    installer.fails = InstallError("no matching distribution")
    refused(cache, "^the new environment cannot be installed: no matching distribution")


def test_a_full_disk_leaves_nothing(cache, installer):
    installer.fails = OSError(errno.ENOSPC, "No space left on device")
    refused(cache, "no space is left for an environment in .*cache clean")


def test_another_error_of_the_disk_is_raised(cache, installer):
    installer.fails = PermissionError(errno.EACCES, "denied")
    with pytest.raises(PermissionError):
        cache.get(LOCK, silent)


def test_a_new_conflict_is_refused_and_a_known_one_is_not(cache, installer):
    moved = Conflict(KNOWN.package, KNOWN.requirement, KNOWN.text.replace("2.13.0", "2.14.0"))
    installer.found = [moved]
    cache.get(LOCK, silent)
    installer.found = [moved, Conflict("peft", "torch>=3", "peft 2 requires torch>=3.")]
    sentence = "the new environment breaks a requirement: peft 2 requires torch>=3: change"
    with pytest.raises(EnvironmentRefused, match=sentence):
        cache.get(LOCK.overlaid({"peft": "peft==3"}), silent)


def test_libraries_that_do_not_load_are_refused(cache, monkeypatch):
    monkeypatch.setattr(environment_cache, "IMPORTS", ("no_such_library",))
    refused(
        cache, "^the new environment's libraries do not load: ModuleNotFoundError: No module named"
    )


@pytest.mark.parametrize("stays", [True, False])
def test_environments_used_longest_ago_are_removed_after_a_day(tmp_path, installer, small, stays):
    cache = EnvironmentCache(tmp_path / "cache", installer, limit=1.0)
    first = cache.get(LOCK, silent).parents[1]
    age = environment_cache.KEPT_SECONDS * (0.9 if stays else 1.1)
    used = (first / LOCK_FILE).stat().st_mtime - age
    os.utime(first / LOCK_FILE, (used, used))
    second = cache.get(LOCK.overlaid({"peft": "peft==3"}), silent).parents[1]
    assert environments_in(cache.folder) == [second, *([first] if stays else [])]
    assert first.exists() == stays


def test_the_folder_is_made_and_marked(monkeypatch, tmp_path):
    monkeypatch.setenv("FTCOMPARE_CACHE", str(tmp_path / "cache"))
    assert environment_cache.default_cache() == tmp_path / "cache"
    assert (tmp_path / "cache" / "CACHEDIR.TAG").is_file()


def test_a_folder_that_cannot_be_used_is_refused(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FTCOMPARE_CACHE", str(tmp_path / "file"))
    with pytest.raises(EnvironmentRefused, match="expected a folder for the cache, got"):
        environment_cache.default_cache()
