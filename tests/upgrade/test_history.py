"""Releases and commits between two ends, in order; what is no line between them is refused."""

import subprocess

import pytest

from pytest_ftcompare.environments.checkout import CheckoutError, describe_commit, files_of
from pytest_ftcompare.upgrade.history import (
    HistoryError,
    commits_between,
    releases_between,
)

AVAILABLE = ["0.21.2", "0.21.0", "0.20.0", "0.19.1", "0.3.0"]


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        ("0.19.1", "0.21.0", ["0.19.1", "0.20.0", "0.21.0"]),
        ("0.21.0", "0.19.1", ["0.21.0", "0.20.0", "0.19.1"]),
        ("0.3.0", "0.19.1", ["0.3.0", "0.19.1"]),
    ],
)
def test_releases_are_in_the_order_of_their_versions(good, bad, expected):
    assert releases_between(AVAILABLE, good, bad) == expected


@pytest.mark.parametrize(
    ("good", "bad", "sentence"),
    [
        ("0.19.1", "9.0", "the index has no release 9.0: it has 0.21.2, "),
        ("main", "0.20.0", "expected versions such as 0.20.0: Invalid version: 'main'"),
    ],
)
def test_a_release_that_does_not_exist_is_refused(good, bad, sentence):
    with pytest.raises(HistoryError, match=f"^{sentence}"):
        releases_between(AVAILABLE, good, bad)


@pytest.mark.parametrize(
    ("available", "good", "bad", "expected"),
    [
        (["2.13.0+cpu", "2.12.0+cpu"], "2.12.0", "2.13.0", ["2.12.0", "2.13.0"]),
        (["2.13.0", "2.12.0"], "2.12.0+cpu", "2.13.0", ["2.12.0", "2.13.0"]),
        (["2.13.0+cpu", "2.13.0", "2.12.0"], "2.12.0", "2.13.0", ["2.12.0", "2.13.0"]),
        (["2.13.0", "2.12.0"], "2.12.0+cpu", "2.13.0+cpu", ["2.12.0+cpu", "2.13.0+cpu"]),
    ],
)
def test_releases_are_compared_without_their_builds(available, good, bad, expected):
    assert releases_between(available, good, bad) == expected


@pytest.fixture
def checkout(tmp_path):
    """A checkout with commits 0 to 3 on main, and one on a branch from commit 1."""
    folder = tmp_path / "checkout"
    folder.mkdir()

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(folder), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q", "-b", "main")
    for number in range(4):
        (folder / "code.py").write_text(f"{number}\n")
        git("add", "code.py")
        git("commit", "-qm", f"change {number}")
        git("tag", f"v{number}")
    git("checkout", "-qb", "branch", "v1")
    (folder / "code.py").write_text("uncommitted\n")
    git("commit", "-qam", "elsewhere")
    git("checkout", "-qb", "merged", "v3")
    git("merge", "-q", "-s", "ours", "-m", "merge", "branch")
    git("checkout", "-q", "main")
    (folder / "code.py").write_text("uncommitted\n")
    return folder


def subjects(checkout, commits):
    return [describe_commit(checkout, commit).split(" ", 2)[2] for commit in commits]


def test_commits_are_in_order_from_the_good_end(checkout):
    assert subjects(checkout, commits_between(checkout, "v0", "main")) == [
        f"change {number}" for number in range(4)
    ]
    assert subjects(checkout, commits_between(checkout, "v2", "v1")) == ["change 2", "change 1"]


@pytest.mark.parametrize(
    ("good", "bad", "sentence"),
    [
        ("v0", "nowhere", "Needed a single revision|ambiguous argument|unknown revision"),
        ("branch", "main", "expected branch and main on one line of commits"),
    ],
)
def test_ends_that_are_on_no_line_are_refused(checkout, good, bad, sentence):
    with pytest.raises((CheckoutError, HistoryError), match=sentence):
        commits_between(checkout, good, bad)


@pytest.mark.parametrize(("good", "bad"), [("branch", "merged"), ("merged", "branch")])
def test_a_commit_of_a_merged_branch_is_no_end(checkout, good, bad):
    sentence = "expected a commit on merged's line of first parents, branch is on a branch that"
    with pytest.raises(HistoryError, match=sentence):
        commits_between(checkout, good, bad)
    assert len(commits_between(checkout, "v1", "merged")) == 4


def test_a_folder_without_git_is_refused(tmp_path):
    with pytest.raises(CheckoutError, match=r"not a git repository|cannot change to"):
        commits_between(tmp_path, "v0", "v1")


def test_the_files_of_a_commit_lie_apart_and_the_checkout_stays(checkout, tmp_path):
    (commit, *_) = commits_between(checkout, "v2", "v3")
    place = files_of(checkout, commit, tmp_path / "commits")
    assert (place / "code.py").read_text() == "2\n"
    assert (checkout / "code.py").read_text() == "uncommitted\n"
    assert files_of(checkout, commit, tmp_path / "commits") == place
    assert [path.name for path in place.parent.iterdir() if path.is_dir()] == [commit]
    assert not [*place.parent.glob("*.tar")]
