"""Faults of quantised base weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .change import Case, fault, patch

QLORA = Case("qlora")


def _held_as(change: Callable[[Any], None]) -> None:
    """Let `change` edit the scales of a quantised matrix, in 8 bits, and their mean, from which both passes read it."""
    from bitsandbytes import functional

    @patch(functional, "quantize_4bit")
    def changed(real: Any, *arguments: Any, **named: Any) -> Any:
        numbers, state = real(*arguments, **named)
        change(state)
        return numbers, state


@fault(
    "quantisation",
    QLORA,
    upstream="https://github.com/bitsandbytes-foundation/bitsandbytes/pull/1549",
)
def scales_not_dequantised() -> None:
    """The scales, quantised once more, are used as they are stored."""

    def raw(state: Any) -> None:
        state.absmax, state.nested = state.absmax.float() / 255, False

    _held_as(raw)


@fault(
    "quantisation",
    QLORA,
    upstream="https://github.com/bitsandbytes-foundation/bitsandbytes/pull/1582",
)
def scales_rounded_down() -> None:
    """Every second scale is quantised to the next smaller value, as by rounding down instead of to the nearest."""

    def smaller(state: Any) -> None:
        odd = torch.arange(len(state.absmax), device=state.absmax.device) % 2
        state.absmax = (state.absmax.int() - odd).clamp(min=0).to(torch.uint8)

    import torch

    _held_as(smaller)


@fault(
    "quantisation",
    QLORA,
    upstream="https://github.com/bitsandbytes-foundation/bitsandbytes/pull/1884",
)
def last_block_spoilt() -> None:
    """The last block's scale is computed from numbers that are not the matrix's."""

    def spoilt(state: Any) -> None:
        state.absmax[-1] = 255  # the largest scale of the matrix's

    _held_as(spoilt)


@fault("quantisation", QLORA)
def offset_of_scales_forgotten() -> None:
    """The mean that was taken from the scales before they were quantised is not added again."""

    def without(state: Any) -> None:
        state.offset.zero_()

    _held_as(without)


@fault("quantisation", QLORA)
def float4_instead_of_normal_float4() -> None:
    """The base weights are held in FP4 where NF4 was asked for."""
    from transformers import BitsAndBytesConfig

    @patch(BitsAndBytesConfig, "__init__")
    def other(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named | {"bnb_4bit_quant_type": "fp4"})


@fault("quantisation", QLORA)
def not_quantised_twice() -> None:
    """The scales are not quantised once more, though it was asked for."""
    from transformers import BitsAndBytesConfig

    @patch(BitsAndBytesConfig, "__init__")
    def once(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named | {"bnb_4bit_use_double_quant": False})


@fault("quantisation", QLORA)
def not_quantised() -> None:
    """The base weights are loaded as they are, without being quantised."""
    from pytest_ftcompare import methods

    @patch(methods.load("qlora"), "load_options")
    def nothing(real: Any, self: Any) -> dict[str, Any]:
        return {}
