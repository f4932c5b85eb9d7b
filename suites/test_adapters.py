"""What PEFT promises of an adapter's whole life, for every method that goes through PEFT.

The suite has no baseline and downloads nothing: it trains adapters on random tiny models for a few
updates (`checks/adapter_lifecycle.py`). Four families differ in what adapters meet: OPT, LLaMA, a
BERT encoder, and GPT-2 with its transposed layers. A known upstream fault is an expected failure.
"""

import pytest

from pytest_ftcompare.compare import known_faults
from pytest_ftcompare.methods import NAMES, load

# Of the output modes, "head" trains a head beside the adapter; "answer" adds nothing to "pattern".
OUTPUT_MODES = {
    "opt_post": ("head", "pattern"),
    "llama": ("head", "pattern"),
    "gpt2": ("head", "pattern"),
    "bert": ("head",),
}
THROUGH_PEFT = (*known_faults.LAYER_METHODS, *known_faults.PROMPT_METHODS)
NOT_ON_GPT2 = ("ia3", "ln_tuning", "oft")  # refused, see test_invariants.py
CASES = [
    (method, family, output_mode)
    for family, output_modes in OUTPUT_MODES.items()
    for output_mode in output_modes
    for method in NAMES
    if method in THROUGH_PEFT
    and output_mode in load(method).output_modes
    and not (family == "gpt2" and method in NOT_ON_GPT2)
]


def expected_refusals(method, output_mode):
    """Return the checks whose operations PEFT refuses with an error, by design."""
    if method in known_faults.PROMPT_METHODS:
        return {"loading a trainable second adapter", "resuming training"}
    refused = {"combining adapters"} if method == "adalora" else set()
    # Two trained heads cannot be active at once, nor two adapters of LN tuning.
    if load(method).mergeable and (output_mode == "head" or method == "ln_tuning"):
        refused.add("merging two adapters")
    return refused


def test_every_method_through_peft_is_here():
    from pytest_ftcompare.methods.through_peft import PeftMethod

    assert {name for name in NAMES if issubclass(load(name), PeftMethod)} == set(THROUGH_PEFT)


@pytest.mark.parametrize(("method", "family", "output_mode"), CASES)
def test_an_adapters_life(prepared, fail_if_broken, method, family, output_mode):
    from pytest_ftcompare.checks.adapter_lifecycle import check_lifecycle

    case = prepared(method, family, output_mode)
    broken, refused = check_lifecycle(case)
    assert refused == expected_refusals(method, output_mode)
    fail_if_broken(case, broken, known_faults.LIFECYCLE_FAULTS)
