"""What PEFT promises of an adapter's whole life, for every method that goes through PEFT.

The suite has no baseline and downloads nothing: it trains adapters on random tiny models for a few
updates (`checks/adapter_lifecycle.py`). Four families differ in what adapters meet: OPT, LLaMA, a
BERT encoder, and GPT-2 with its transposed layers. A known upstream fault is an expected failure.
"""

import pytest

from pytest_ftcompare.checks.combinations import combinations
from pytest_ftcompare.compare import known_faults
from pytest_ftcompare.methods import NAMES, load

# PEFT warns of merging twice, and of ranks that are cut; the checks hold what comes of it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
# Of the output modes, "head" trains a head beside the adapter; "answer" adds nothing to "pattern".
FAMILIES = ("opt_post", "llama", "gpt2", "bert")
THROUGH_PEFT = (*known_faults.LAYER_METHODS, *known_faults.PROMPT_METHODS)
NOT_ON_GPT2 = ("ia3", "ln_tuning", "oft")  # refused, see test_invariants.py
GRID = [
    (method, family, output_mode)
    for method, family, output_mode in combinations(*FAMILIES, methods=THROUGH_PEFT)
    if output_mode != "answer" and not (family == "gpt2" and method in NOT_ON_GPT2)
]
# Both output modes on LLaMA; on the others, the one that another family does not show.
CHOSEN = [
    each
    for each in GRID
    if each[1] in ("llama", "bert") or each[1:] in (("opt_post", "head"), ("gpt2", "pattern"))
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


@pytest.mark.combinations(CHOSEN, GRID)
def test_an_adapters_life(prepared, fail_if_broken, method, family, output_mode):
    from pytest_ftcompare.checks.adapter_lifecycle import check_lifecycle

    case = prepared(method, family, output_mode)
    broken, refused = check_lifecycle(case)
    assert refused == expected_refusals(method, output_mode)
    fail_if_broken(case, broken, known_faults.LIFECYCLE_FAULTS)
