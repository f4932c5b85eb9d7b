"""Which combinations pytest runs, with and without -m grid."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ftcompare.checks.combinations import OUTPUT_MODES, combinations, expected_refusal

ROOT = Path(__file__).parents[2]


def collected(*arguments):
    """Return the number of tests that pytest would run in the suite of gradients."""
    command = [sys.executable, "-m", "pytest", "suites/test_gradients.py", "--collect-only", "-q"]
    done = subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return int(re.search(r"(\d+)(?:/\d+)? tests collected", done.stdout)[1])


def test_all_combinations_run_when_they_are_asked_for_and_only_then():
    chosen = collected()
    assert 200 < chosen < 400
    assert collected("-m", "not grid") == collected("-m", "not slow") == chosen
    assert collected("-m", "grid") == collected("-m", "grid or slow") > 4 * chosen


@pytest.mark.parametrize("family", OUTPUT_MODES)
def test_a_family_has_the_methods_of_its_output_modes(family):
    modes = {output_mode for _, _, output_mode in combinations(family, methods=("full",))}
    assert modes == {*OUTPUT_MODES[family]}


def test_a_family_with_uneven_widths_is_refused_what_its_architecture_is():
    refusal = expected_refusal("bitfit", "llama_uneven")
    assert refusal == expected_refusal("bitfit", "llama") == "expected a base model with biases"
    assert expected_refusal("lora", "llama_uneven") is None
