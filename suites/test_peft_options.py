"""What users ask of PEFT and no shipped method does, on random tiny models.

The suite has no baseline and downloads nothing (`checks/peft_options.py`,
`checks/hot_swapping.py`). With `-m grid` every
option meets every method that has it, on every family.
"""

import pytest
from packaging.version import Version

from pytest_ftcompare.checks.combinations import combinations
from pytest_ftcompare.compare import known_faults
from pytest_ftcompare.methods import load

LORA = known_faults.LORA_METHODS
# VeRA has no exclude_modules.
EXCLUDING = tuple(name for name in known_faults.LAYER_METHODS if name != "vera")
OPTIONS = {
    "modules_to_save": known_faults.LAYER_METHODS,
    "exclude_modules": EXCLUDING,
    "target_parameters": ("lora", "rslora"),
    "rank and alpha patterns": LORA,
    "adapted embeddings": LORA,
    "trained embeddings": LORA,
    "base model with tied and resized embeddings": LORA,
    "base model in bfloat16": known_faults.LAYER_METHODS,
    "base model in 8 bits": LORA,
}
NOT_ON_GPT2 = ("ia3", "ln_tuning", "oft")  # refused, see checks/combinations.py
GRID = [
    (option, *combination)
    for option, methods in OPTIONS.items()
    for combination in combinations("opt_post", "llama", "gpt2", "bert", methods=methods)
    if combination[2] != "answer"
    and not (combination[1] == "gpt2" and combination[0] in NOT_ON_GPT2)
]
# Every option with every method on LLaMA, and once with GPT-2's transposed layers and tied
# embeddings.
CHOSEN = [
    each
    for each in GRID
    if each[2:] == ("llama", "head") or (each[1] == "lora" and each[2:] == ("gpt2", "pattern"))
]
# PEFT warns of options that it cannot follow to the letter; the checks hold what comes of it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
# Faults of the shipped configs, which an option may hide.
OTHER_FAULTS = known_faults.LIFECYCLE_FAULTS + known_faults.FAULTS


def expected_refusals(option, method, output_mode):
    """Return the checks whose operations PEFT refuses with an error, by design."""
    refused = {"combining adapters"} if method == "adalora" else set()
    if option in ("target_parameters", "adapted embeddings"):
        refused.add("combining adapters")
    # Two trained modules cannot be active at once, nor two adapters of LN tuning.
    whole_modules = output_mode == "head" or option in ("modules_to_save", "trained embeddings")
    low_precision = option in ("base model in bfloat16", "base model in 8 bits")
    merges = load(method).mergeable and not low_precision
    if merges and (whole_modules or method == "ln_tuning"):
        refused.add("merging two adapters")
    return refused


def test_every_option_is_here():
    from pytest_ftcompare.checks import peft_options

    assert OPTIONS.keys() == peft_options.OPTIONS.keys()


@pytest.mark.combinations(CHOSEN, GRID)
def test_an_option_keeps_what_peft_promises(
    prepared, fail_if_broken, option, method, family, output_mode
):
    from pytest_ftcompare.checks.peft_options import check_option

    case = prepared(method, family, output_mode)
    broken, refused = check_option(case, option)
    stopped = any(" must be copied, " in each or each.startswith("training ") for each in broken)
    assert refused == (set() if stopped else expected_refusals(option, method, output_mode))
    fail_if_broken(case, broken, known_faults.OPTION_FAULTS.get(option, ()), also=OTHER_FAULTS)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize(
    ("option", "method", "output_mode", "adapted"),
    [
        (None, "lora", "pattern", "layers"),
        (None, "rslora", "pattern", "layers"),
        ("rank and alpha patterns", "lora", "pattern", "layers"),
        (None, "dora", "pattern", "magnitudes"),
        (None, "lora", "head", "whole modules"),
        ("modules_to_save", "lora", "pattern", "whole modules"),
        ("adapted embeddings", "lora", "pattern", "embeddings"),
    ],
)
def test_a_hot_swapped_adapter_acts_as_it_does_alone(
    prepared, fail_if_broken, environment, option, method, family, output_mode, adapted
):
    from pytest_ftcompare.checks.hot_swapping import SWAPPED_OUT, check_hotswapping

    case = prepared(method, family, output_mode)
    broken, refused = check_hotswapping(case, option)
    if Version(environment["peft"]) >= Version("0.21"):
        assert refused == {
            f"hot-swapped for an adapter of {difference} that is merged"
            for difference in SWAPPED_OUT
        }
    fail_if_broken(case, broken, known_faults.HOT_SWAP_FAULTS[adapted])
