"""A recorded lock has no path of this machine, and what it cannot make again is refused."""

from pathlib import Path

import pytest

from pytest_ftcompare.environments.lock import Lock
from pytest_ftcompare.environments.recorded_lock import (
    RecordedLockError,
    own_lines,
    parse,
    recorded_lock,
    remade,
)

ROOT = Path("/home/me/project/sub")
OWN = {"pytest-ftcompare": "-e /home/me/gate", "project": "-e /home/me/project"}
HERE = Lock(
    OWN
    | {
        "jinja2": "Jinja2==3.1.6",
        "peft": "-e /home/me/my code/peft",
        "trl": "trl @ file:///home/me/wheels/trl-1-py3-none-any.whl",
        "local": "local @ git+file:///home/me/local@abc",
        "forked": "forked @ git+https://git/forked@abc",
    }
)
TEXT = """\
forked @ git+https://git/forked@abc
Jinja2==3.1.6
local @ git+file:local@abc
-e peft
trl @ file:trl-1-py3-none-any.whl
"""


def test_the_text_leaves_out_paths_and_the_code_that_digests_describe():
    assert recorded_lock(HERE, ROOT).text() == TEXT
    assert own_lines(HERE, ROOT) == OWN
    assert own_lines(HERE, Path("/elsewhere")).keys() == {"pytest-ftcompare"}


def test_a_library_that_is_the_project_is_a_library():
    assert recorded_lock(HERE, Path("/home/me/my code/peft")).lines["peft"] == "-e peft"


def test_a_project_behind_a_link_is_the_project(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "link").symlink_to("project")
    lock = Lock({"project": f"-e {tmp_path / 'link'}"})
    assert own_lines(lock, tmp_path / "project") == lock.lines


def test_a_release_of_the_gate_is_recorded():
    lock = Lock({"pytest-ftcompare": "pytest-ftcompare==0.1.0"})
    assert recorded_lock(lock, ROOT) == lock


def test_a_text_reads_back_equal():
    assert parse(TEXT) == recorded_lock(HERE, ROOT)
    assert parse(TEXT).lines.keys() == HERE.lines.keys() - OWN.keys()


def test_releases_and_commits_are_made_again_and_an_unchanged_checkout_is_used():
    recorded = parse("forked @ git+https://git/forked@abc\nJinja2==3.0\n-e peft\n")
    assert remade(recorded, HERE, {"peft"}) == {
        "forked": "forked @ git+https://git/forked@abc",
        "jinja2": "Jinja2==3.0",
        "peft": "-e /home/me/my code/peft",
    }


@pytest.mark.parametrize(
    ("line", "unchanged", "sentence"),
    [
        ("-e peft", (), "peft was an edited checkout when its baseline was made"),
        ("-e jinja2", {"jinja2"}, "jinja2 was an edited checkout when its baseline was made"),
        ("trl @ file:trl.whl", {"trl"}, "trl was installed from a local file for its baseline"),
        ("local @ git+file:local@abc", (), "local was installed from a local file"),
    ],
)
def test_what_cannot_be_made_again_is_refused(line, unchanged, sentence):
    with pytest.raises(RecordedLockError, match=f"^{sentence}"):
        remade(parse(line), HERE, unchanged)
