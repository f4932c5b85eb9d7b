"""Base models as the library loads them, in every output mode of every model family.

The suite has no baseline and downloads nothing: its models are random and tiny
(`checks/tiny_models.py`). Cases train copies of a model that is read once; this suite looks at a
fresh load beside the copy (`checks/base_models.py`).
"""

from importlib.util import find_spec

import pytest

from pytest_ftcompare.checks.combinations import OUTPUT_MODES
from pytest_ftcompare.checks.tiny_models import UNEVEN_WIDTHS
from pytest_ftcompare.compare import known_faults


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
def test_a_fresh_load_is_what_cases_train(prepared, fail_if_broken, family, output_mode):
    from pytest_ftcompare.checks.base_models import check_base_model

    case = prepared("full", family, output_mode)
    fail_if_broken(case, check_base_model(case.interface), ())


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
@pytest.mark.parametrize(
    ("family", "output_mode"),
    [
        ("opt", "pattern"),
        ("llama", "pattern"),
        ("llama_uneven", "head"),
        ("gpt2", "pattern"),
        ("gpt2_uneven", "pattern"),
        ("bert", "head"),
        ("t5", "pattern"),
    ],
)
def test_a_base_model_in_four_bits_is_its_file_up_to_rounding(
    prepared, fail_if_broken, family, output_mode
):
    from pytest_ftcompare.checks.base_models import check_quantised_base_model

    case = prepared("qlora", family, output_mode)
    # The fault shows where a width is a multiple of 16 and not of 64.
    faults = () if family in UNEVEN_WIDTHS else known_faults.QUANTISATION_FAULTS
    fail_if_broken(case, check_quantised_base_model(case), faults)
