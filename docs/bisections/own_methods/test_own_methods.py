"""The cases of the bisections of peft."""

from collections.abc import Callable

import pytest


@pytest.mark.ftcompare(
    methods=("tiny_lora", "bone"), tasks=("cola",), shots="few", judge_accuracy=False
)
def test_own_methods(gate: Callable[[], None]) -> None:
    gate()
