"""Base models as the library loads them, in every output mode of every model family.

The suite has no baseline and downloads nothing: its models are random and tiny
(`checks/tiny_models.py`). Cases train copies of a model that is read once; this suite looks at a
fresh load beside the copy (`checks/base_models.py`).
"""

import pytest

from pytest_ftcompare.checks.combinations import OUTPUT_MODES


@pytest.mark.parametrize(
    ("family", "output_mode"),
    [
        (family, output_mode)
        for family, output_modes in OUTPUT_MODES.items()
        for output_mode in output_modes
        # The model is that of "pattern".
        if output_mode != "answer"
    ],
)
def test_a_fresh_load_is_what_cases_train(prepared, family, output_mode):
    from pytest_ftcompare.checks.base_models import check_base_model

    assert check_base_model(prepared("full", family, output_mode).interface) == []
