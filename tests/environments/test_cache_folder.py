"""Only a folder that was made as a cache is emptied, and only of what the commands made."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from pytest_ftcompare.environments import cache_folder
from pytest_ftcompare.environments.cache_folder import CacheError, clean, make, own_bytes


@pytest.fixture
def cache(tmp_path):
    """A marked cache with one file in each of its parts."""
    folder = tmp_path / "cache"
    make(folder)
    for part in cache_folder.PARTS:
        (folder / part / "abc").mkdir(parents=True)
        (folder / part / "abc" / "file").write_text("content")
    return folder


def test_a_new_folder_is_marked_and_removed_whole(cache):
    first = (cache / "CACHEDIR.TAG").read_text().splitlines()[0]
    assert first == "Signature: 8a477f597d28d172789f06886806bc55"
    clean(cache)
    assert not cache.exists()


def test_a_folder_with_other_files_is_used_and_never_emptied(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "thesis.txt").write_text("years of work")
    make(tmp_path)
    with pytest.raises(CacheError, match=r"expected a folder that ftcompare made, .* has no CACHE"):
        clean(tmp_path)
    assert [*tmp_path.rglob("*.txt")] == [tmp_path / "results" / "thesis.txt"]
    assert not (tmp_path / "CACHEDIR.TAG").exists()


def test_the_mark_of_another_tool_is_none(cache):
    (cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    with pytest.raises(CacheError, match="expected a folder that ftcompare made"):
        clean(cache)
    assert (cache / "results").exists()


def test_what_the_commands_did_not_make_stays(cache):
    (cache / "notes.txt").write_text("mine")
    clean(cache)
    assert {file.name for file in cache.iterdir()} == {"CACHEDIR.TAG", "notes.txt"}


def test_a_cache_in_use_is_not_emptied(cache):
    with FileLock(cache / "bisections" / "abc.lock"):
        with pytest.raises(CacheError, match=r"another process uses .*: wait for it"):
            clean(cache)
        assert all((cache / part / "abc" / "file").is_file() for part in cache_folder.PARTS)
    clean(cache)
    assert not cache.exists()


def test_what_cannot_be_removed_is_told(cache, monkeypatch):
    monkeypatch.setattr(cache_folder.shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(
        CacheError, match=r"8 files and folders could not be removed, such as .*abc"
    ):
        clean(cache)
    assert (cache / "CACHEDIR.TAG").is_file()


def test_a_cache_of_another_user_is_told(cache, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    (cache / "results" / "abc.lock").touch()
    monkeypatch.setattr(cache_folder, "FileLock", refuse)
    with pytest.raises(CacheError, match=r"abc.lock cannot be locked \(Permission denied\)"):
        clean(cache)
    assert (cache / "results").exists()


def test_nothing_is_removed_where_there_is_no_folder(tmp_path):
    clean(tmp_path / "none")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CacheError, match=r"expected a folder .* name another folder with --ftc"):
        make(tmp_path / name)


def test_a_folder_that_cannot_be_written_is_refused(cache, monkeypatch):
    monkeypatch.setattr(cache_folder.os, "access", lambda *_: False)
    with pytest.raises(CacheError, match=r"expected a folder .*it cannot be written"):
        make(cache)


def test_only_bytes_that_no_other_folder_links_count(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "own").write_bytes(b"12345")
    (tmp_path / "shared").write_bytes(b"123")
    (tmp_path / "in" / "linked").hardlink_to(tmp_path / "shared")
    assert own_bytes(tmp_path / "in") == 5.0


def test_the_folder_is_named_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("FTCOMPARE_CACHE", str(tmp_path))
    assert cache_folder.location() == tmp_path
    monkeypatch.delenv("FTCOMPARE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert str(cache_folder.location()) == "/caches/ftcompare"


def test_a_folder_that_another_process_removes_meanwhile_is_passed_over(cache, monkeypatch):
    walk = os.walk

    def walk_and_remove(folder):
        for each in walk(folder):
            yield each
            shutil.rmtree(cache / "results", ignore_errors=True)

    whole = own_bytes(cache)
    monkeypatch.setattr(cache_folder.os, "walk", walk_and_remove)
    assert 0 < own_bytes(cache) < whole


def test_an_environment_that_another_process_removes_meanwhile_is_passed_over(cache, monkeypatch):
    for name in ("abc", "def"):
        (cache / "environments" / name).mkdir(exist_ok=True)
        (cache / "environments" / name / cache_folder.LOCK_FILE).write_text("peft==1")
    glob = Path.glob

    def glob_and_remove(path, pattern):
        found = [*glob(path, pattern)]
        shutil.rmtree(cache / "environments" / "def")
        return found

    monkeypatch.setattr(Path, "glob", glob_and_remove)
    assert cache_folder.environments_in(cache) == [cache / "environments" / "abc"]


def test_an_environment_whose_removal_is_interrupted_does_not_count(cache, monkeypatch):
    place = cache / "environments" / "abc"
    (place / cache_folder.LOCK_FILE).write_text("peft==1")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache_folder.shutil, "rmtree", interrupt)
    with pytest.raises(KeyboardInterrupt):
        clean(cache)
    assert (place / "file").is_file()
    assert cache_folder.environments_in(cache) == []
