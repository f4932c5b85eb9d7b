"""Study 2: every method of the catalogue and of the few-shot study, in and out of domain."""

import pytest

from pytest_ftcompare.methods import NAMES


@pytest.mark.ftcompare(methods=NAMES, tasks=("cola", "mnli"), shots="catalogue")
def test_peft_methods(gate):
    gate()
