"""Base models as the library loads them, in every output mode of every model family.

The suite has no baseline and downloads nothing: its models are random and tiny
(`checks/tiny_models.py`). Cases train copies of a model that is read once; this suite looks at a
fresh load beside the copy (`checks/base_models.py`).
"""

import pytest

from pytest_ftcompare.checks.tiny_models import DECODERS, ENCODERS

OUTPUT_MODES = {
    **dict.fromkeys((*DECODERS, "gpt2"), ("head", "pattern")),
    **dict.fromkeys(ENCODERS, ("head",)),
    "t5": ("pattern",),
}


@pytest.mark.parametrize(
    ("family", "output_mode"),
    [(family, mode) for family, modes in OUTPUT_MODES.items() for mode in modes],
)
def test_a_fresh_load_is_what_cases_train(prepared, family, output_mode):
    from pytest_ftcompare.checks.base_models import check_base_model

    assert check_base_model(prepared("full", family, output_mode).interface) == []
