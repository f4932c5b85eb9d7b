"""Ring 0: the invariants of every method on every model family, with random tiny models.

The suite has no baseline and downloads nothing. Three families also get the slow invariants
(`checks/slow_invariants.py`): adapters and the loop do not depend on the family. The other families
get the invariants of every case. Refused combinations must fail with the message in `REFUSED`. A
known upstream fault is an expected failure, as strict as its record in `compare/known_faults.py`.
"""

import pytest

from pytest_ftcompare.checks.combinations import (
    OUTPUT_MODES,
    combinations,
    expected_refusal,
    width_options,
)
from pytest_ftcompare.checks.tiny_models import TASKS, UNEVEN_WIDTHS
from pytest_ftcompare.compare import known_faults

SLOWLY_CHECKED = ("opt_post", "llama", "roberta")
EVEN_FAMILIES = [family for family in OUTPUT_MODES if family not in UNEVEN_WIDTHS]


@pytest.mark.combinations(combinations(*EVEN_FAMILIES), combinations())
def test_invariants(prepared, fail_if_broken, record_property, method, family, output_mode):
    from pytest_ftcompare.checks.invariants import check
    from pytest_ftcompare.checks.slow_invariants import check_all
    from pytest_ftcompare.methods.base import MethodError
    from pytest_ftcompare.training.model_kind import ModelError

    if message := expected_refusal(method, family):
        record_property("refused", message)
        with pytest.raises((MethodError, ModelError), match=message):
            (check_all if family in SLOWLY_CHECKED else check)(
                prepared(method, family, output_mode)
            )
        return
    case = prepared(method, family, output_mode, **width_options(method, family))
    if family in SLOWLY_CHECKED:
        fail_if_broken(case, check_all(case), known_faults.FAULTS + known_faults.SLOW_FAULTS)
    else:
        fail_if_broken(case, check(case)[2], known_faults.FAULTS)


@pytest.mark.parametrize(
    ("family", "output_mode"),
    [
        (family, output_mode)
        for family, output_modes in OUTPUT_MODES.items()
        for output_mode in TASKS
        if family not in UNEVEN_WIDTHS and output_mode not in output_modes
    ],
)
def test_an_output_mode_that_a_family_lacks_is_refused(prepared, family, output_mode):
    from pytest_ftcompare.training.model_kind import ModelError

    with pytest.raises(
        ModelError, match=f"expected a model that supports output mode {output_mode}, {family} is "
    ):
        prepared("full", family, output_mode)
