"""The history of peft has commits in order, and only the slow one changes what a layer does."""

import subprocess
import sys

import pytest

from scripts import slow_peft_history
from scripts.slow_peft_history import COMMITS, LAYER, SLOW_COMMIT, make, slowed


def test_the_same_peft_gives_the_same_commits(tmp_path):
    commits = make(tmp_path / "one")
    assert len(set(commits)) == COMMITS
    assert make(tmp_path / "another") == commits

    def layer(number):
        place = f"{commits[number - 1]}:{LAYER}"
        command = ["git", "-C", str(tmp_path / "one"), "show", place]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    for number in range(1, COMMITS + 1):
        assert ("inspect.signature" in layer(number)) is (number >= SLOW_COMMIT)
        assert layer(number).endswith(f"REVISION = {number}\n")
        compile(layer(number), str(LAYER), "exec")


def test_a_layer_of_another_form_is_refused():
    with pytest.raises(ValueError, match=r"expected class Linear\(nn.Module, LoraLayer\): with"):
        slowed("class Other: pass\n")


def test_a_folder_that_exists_is_refused(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", slow_peft_history.__name__, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "which must not exist" in done.stderr
