"""Study 1: few-shot fine-tuning methods, in and out of domain (arXiv:2405.13181, arXiv:2305.16938)."""

import pytest


@pytest.mark.ftcompare(methods=("full", "pbft", "icl", "lora"), tasks=("cola", "mnli"), shots=(16, 64))
def test_few_shot(gate):
    gate()
