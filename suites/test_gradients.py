"""The gradient is the derivative of the loss, for every method on random tiny models.

The suite has no baseline and downloads nothing (`checks/gradient.py`). Four families have uneven
widths (`checks/tiny_models.py`). With `-m grid` every method meets every family in every output
mode.
"""

import pytest

from pytest_ftcompare.checks.combinations import combinations, expected_refusal, width_options
from pytest_ftcompare.checks.tiny_models import UNEVEN_WIDTHS
from pytest_ftcompare.compare import known_faults
from pytest_ftcompare.methods import NAMES, load

GRID = combinations()
# The backward pass of an output mode does not depend on the method.
DERIVATIVES = [
    *combinations("llama_uneven"),
    *(
        (method, family, output_mode)
        for method, family, output_mode in combinations(*UNEVEN_WIDTHS)
        if family != "llama_uneven" and output_mode == load(method).output_modes[0]
    ),
    *(
        combination
        for combination in combinations(methods=("full", "lora"))
        if combination[1] not in UNEVEN_WIDTHS
    ),
]
RECOMPUTED = [
    (method, family, output_mode)
    for method, family, output_mode in GRID
    if (family in ("opt_post", "llama") and output_mode == load(method).output_modes[0])
    or (family in ("gpt2", "roberta", "t5", "gemma3") and method in ("full", "lora"))
]
# Compiling takes seconds: what PEFT puts into layers, what hooks do, and 4-bit layers.
COMPILED = [
    ("lora", "llama_uneven", "head"),
    ("adapter", "llama_uneven", "pattern"),
    ("qlora", "opt_post", "pattern"),
]
# In nightly runs: every method with its first output mode on one family, both modes of two methods.
COMPILED_GRID = [
    (method, "llama_uneven", load(method).output_modes[0])
    for method in NAMES
    if load(method).trains
]
COMPILED_GRID += combinations("opt_post", "bert", "gpt2", methods=("full", "lora"))
COMPILED_GRID += [each for each in COMPILED if each not in COMPILED_GRID]
PREFIXES = ("prefix_tuning", "p_tuning_v2")


def accepted(combination):
    return expected_refusal(*combination[:2]) is None


def trained(combinations):
    """Return the combinations that train something and that no refusal excludes."""
    return [each for each in combinations if load(each[0]).trains and accepted(each)]


@pytest.mark.combinations(trained(DERIVATIVES), trained(GRID))
def test_the_gradient_is_the_derivative_of_the_loss(
    prepared, fail_if_broken, method, family, output_mode
):
    from pytest_ftcompare.checks.gradient import check_gradient

    case = prepared(method, family, output_mode, **width_options(method, family))
    fail_if_broken(case, check_gradient(case), ())


@pytest.mark.combinations(trained(RECOMPUTED), trained(GRID))
def test_recomputed_activations_keep_the_gradient(
    prepared, fail_if_broken, method, family, output_mode
):
    from pytest_ftcompare.checks.gradient import RECOMPUTATIONS, check_recomputation

    case = prepared(method, family, output_mode, **width_options(method, family))
    broken, refused = check_recomputation(case)
    # A cache, which a prefix is, cannot be filled twice.
    expected = {way for way, (before, _) in RECOMPUTATIONS.items() if before}
    assert refused == (expected if method in PREFIXES else set())
    fail_if_broken(case, broken, known_faults.RECOMPUTATION_FAULTS)


@pytest.mark.combinations(trained(COMPILED), trained(COMPILED_GRID))
def test_a_compiled_model_has_the_same_gradient(
    prepared, fail_if_broken, method, family, output_mode
):
    from pytest_ftcompare.checks.gradient import check_compiled

    case = prepared(method, family, output_mode, **width_options(method, family))
    fail_if_broken(case, check_compiled(case), ())
