"""Ring 0: the invariants of every method on every model family, on random tiny models; no baseline, nothing to download.

What a library promises of its adapters, and what the loop does, does not hang on the family: three are examined for all of it
(`checks/slow_invariants.py`), the others are checked for what every case is inspected for. What is refused is refused by
design, and says so. A fault that is known upstream is an expected failure, as strict as its record in
`compare/known_faults.py`.
"""

import pytest

from pytest_ftcompare.checks.tiny_models import DECODERS, ENCODERS, OTHER_FAMILIES, TASKS
from pytest_ftcompare.compare import known_faults
from pytest_ftcompare.methods import NAMES, load

EXAMINED = ("opt_post", "llama", "roberta")
OUTPUT_MODES = {
    **dict.fromkeys((*DECODERS, "gpt2"), ("head", "pattern", "answer")),
    **dict.fromkeys(ENCODERS, ("head",)),
    "t5": ("pattern",),
}
PLACED = (
    "partial",
    "adapter",
    "adapter_fusion",
    "adapter_drop",
    "mam",
    "unipelt",
    "ia3",
    "ln_tuning",
)
# methods, families, what is said
REFUSED = (
    (
        ("bitfit",),
        ("llama", "mistral", "qwen3", "gemma", "gemma2", "gemma3", "t5"),
        "expected a base model with biases",
    ),
    (("mam", "unipelt"), ("gemma2",), "expected a model that attends through scaled_dot_product"),
    (("context_distillation",), tuple(ENCODERS), "expected a model that supports output mode pattern"),
    (("adaptive",), ("roberta",), "expected a decoder, whose language modelling can go on"),
    (("oft",), ("gpt2",), "oft: peft refuses its options for GPT2"),
    (PLACED, tuple(OTHER_FAMILIES), "expected an architecture of opt, llama, mistral, "),
)
CASES = [
    (method, family, output_mode)
    for family, output_modes in OUTPUT_MODES.items()
    for output_mode in output_modes
    for method in NAMES
    if output_mode in load(method).output_modes
]


def refusal(method, family):
    return next(
        (
            sentence
            for methods, families, sentence in REFUSED
            if method in methods and family in families
        ),
        None,
    )


@pytest.mark.parametrize(("method", "family", "output_mode"), CASES)
def test_invariants(prepared, hold, method, family, output_mode):
    from pytest_ftcompare.checks.invariants import check
    from pytest_ftcompare.checks.slow_invariants import check_all
    from pytest_ftcompare.methods.base import MethodError
    from pytest_ftcompare.training.model_kind import ModelError

    if sentence := refusal(method, family):
        with pytest.raises((MethodError, ModelError), match=sentence):
            (check_all if family in EXAMINED else check)(prepared(method, family, output_mode))
        return
    case = prepared(method, family, output_mode)
    if family in EXAMINED:
        hold(case, check_all(case), known_faults.FAULTS + known_faults.SLOW_FAULTS)
    else:
        hold(case, check(case)[2], known_faults.FAULTS)


@pytest.mark.parametrize(
    ("family", "output_mode"),
    [
        (one, output_mode)
        for one, output_modes in OUTPUT_MODES.items()
        for output_mode in TASKS
        if output_mode not in output_modes
    ],
)
def test_what_a_family_cannot_be_asked_is_refused(prepared, family, output_mode):
    from pytest_ftcompare.training.model_kind import ModelError

    with pytest.raises(
        ModelError, match=f"expected a model that supports output mode {output_mode}, {family} is "
    ):
        prepared("full", family, output_mode)
