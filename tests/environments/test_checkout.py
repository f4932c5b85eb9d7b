"""A commit that a checkout lacks is refused in a sentence, with the command that gets it."""

import subprocess

import pytest

from pytest_ftcompare.environments import checkout
from pytest_ftcompare.environments.checkout import (
    CheckoutError,
    describe_commit,
    files_of,
    find_commit,
)


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def whole(tmp_path):
    """A checkout with two commits."""
    folder = tmp_path / "whole"
    folder.mkdir()
    git(folder, "init", "-q")
    for subject in ("first", "second"):
        git(folder, "commit", "-q", "--allow-empty", "-m", subject)
    return folder


def test_a_short_hash_becomes_the_whole_one(whole):
    first = git(whole, "rev-parse", "HEAD~")
    assert find_commit(whole, first[:12]) == first


def test_an_unknown_commit_is_refused(whole):
    with pytest.raises(CheckoutError, match=r"a checkout without .* 123456789abc: .*`git fetch`$"):
        find_commit(whole, "123456789abc")


def test_a_shallow_clone_is_told_how_to_get_the_rest(whole, tmp_path):
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{whole}", str(shallow))
    last, first = git(whole, "rev-parse", "HEAD", "HEAD~").split()
    assert find_commit(shallow, last) == last
    with pytest.raises(CheckoutError, match=rf"shallow clone .* {first}: .*git fetch --unshallow`"):
        find_commit(shallow, first)


def test_a_folder_without_git_is_refused(tmp_path):
    with pytest.raises(CheckoutError, match="not a git repository"):
        find_commit(tmp_path, "abc")


def test_a_machine_without_git_is_one_sentence(tmp_path, monkeypatch):
    def run(*_, **__):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(checkout.subprocess, "run", run)
    with pytest.raises(CheckoutError, match=r"^git cannot be run \(No such file or directory\)"):
        find_commit(tmp_path, "abc")


def test_the_files_of_a_commit_are_copied_and_the_archive_removed(whole, tmp_path):
    (whole / "code.py").write_text("x = 1")
    git(whole, "add", "code.py")
    git(whole, "commit", "-q", "-m", "third")
    commit = git(whole, "rev-parse", "HEAD")
    place = files_of(whole, commit, tmp_path / "commits")
    assert (place / "code.py").read_text() == "x = 1"
    assert {file.suffix for file in place.parent.iterdir()} == {"", ".lock"}


def test_a_full_disk_is_one_sentence_and_leaves_no_archive(whole, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkout.tarfile.TarFile, "extractall", full)
    (whole / "code.py").write_text("x = 1")
    git(whole, "add", "code.py")
    git(whole, "commit", "-q", "-m", "third")
    commit = git(whole, "rev-parse", "HEAD")
    with pytest.raises(CheckoutError, match=r"cannot be copied to .*: .*No space left on device"):
        files_of(whole, commit, tmp_path / "commits")
    assert not [*(tmp_path / "commits").glob("*.tar")]


def test_a_commit_whose_subject_is_in_another_encoding_is_described(whole):
    subject = "caf\xe9".encode("latin-1")
    command = ["git", "-C", whole, "-c", "user.name=a", "-c", "user.email=a@b"]
    command += ["-c", "i18n.logOutputEncoding=latin1", "commit", "-q", "--allow-empty"]
    subprocess.run([*command, "-F", "-"], input=subject, check=True, capture_output=True)
    git(whole, "config", "i18n.logOutputEncoding", "latin1")
    assert "caf\ufffd" in describe_commit(whole, "HEAD")
