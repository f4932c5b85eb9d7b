"""Name the combinations of method, model family and output mode that the suites of checks use.

suites/test_invariants.py and suites/test_gradients.py choose from them. With `-m grid` pytest runs
all of them; without it, the suites run a part that exercises each check.
"""

from __future__ import annotations

from collections.abc import Mapping

from pytest_ftcompare.checks.tiny_models import (
    DECODERS,
    ENCODERS,
    OTHER_FAMILIES,
    UNEVEN_WIDTHS,
)
from pytest_ftcompare.methods import NAMES, load

Combination = tuple[str, str, str]  # method, family, output mode
# The family whose architecture a family with uneven widths has.
EVEN: Mapping[str, str] = {name: name.removesuffix("_uneven") for name in UNEVEN_WIDTHS}
_EVEN_OUTPUT_MODES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys((*DECODERS, "gpt2"), ("head", "pattern", "answer")),
    **dict.fromkeys(ENCODERS, ("head",)),
    "t5": ("pattern",),
}
# By family, the output modes that it supports.
OUTPUT_MODES: Mapping[str, tuple[str, ...]] = {
    **_EVEN_OUTPUT_MODES,
    **{name: _EVEN_OUTPUT_MODES[even] for name, even in EVEN.items()},
}
NEED_LAYOUT = (
    "partial",
    "adapter",
    "adapter_fusion",
    "adapter_drop",
    "mam",
    "unipelt",
    "ia3",
    "ln_tuning",
)
# Refused by design: methods, families, start of the message.
REFUSED = (
    (
        ("bitfit",),
        ("llama", "mistral", "qwen3", "gemma", "gemma2", "gemma3", "t5"),
        "expected a base model with biases",
    ),
    (("mam", "unipelt"), ("gemma2",), "expected a model that attends through scaled_dot_product"),
    (
        ("context_distillation",),
        tuple(ENCODERS),
        "expected a model that supports output mode pattern",
    ),
    (("adaptive",), ("roberta",), "expected a decoder, whose language modelling can go on"),
    (("oft",), ("gpt2",), "oft: peft refuses its options for GPT2"),
    (NEED_LAYOUT, tuple(OTHER_FAMILIES), "expected an architecture of opt, llama, mistral, "),
)


def combinations(*families: str, methods: tuple[str, ...] = NAMES) -> list[Combination]:
    """Return all combinations of the families, or of all families."""
    return [
        (method, family, output_mode)
        for family in families or OUTPUT_MODES
        for output_mode in OUTPUT_MODES[family]
        for method in methods
        if output_mode in load(method).output_modes
    ]


def expected_refusal(method: str, family: str) -> str | None:
    """Return how the message begins that refuses a method on a family; None if it is accepted."""
    architecture = EVEN.get(family, family)
    return next(
        (
            message
            for methods, families, message in REFUSED
            if method in methods and architecture in families
        ),
        None,
    )


def width_options(method: str, family: str) -> dict[str, int]:
    """Return options that a method needs for uneven widths: OFT's block must divide 42."""
    return {"block": 14} if method == "oft" and family in UNEVEN_WIDTHS else {}
