"""Faults of quantised base weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .change import Case, fault, patch

QLORA = Case("qlora")


def _change_scales(change: Callable[[Any], None]) -> None:
    """Let `change` edit a quantised matrix's 8-bit scales and their mean, read by both passes."""
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
    """The scales, which are quantised too, are used without being dequantised."""

    def raw(state: Any) -> None:
        state.absmax, state.nested = state.absmax.float() / 255, False

    _change_scales(raw)


@fault(
    "quantisation",
    QLORA,
    upstream="https://github.com/bitsandbytes-foundation/bitsandbytes/pull/1582",
)
def scales_rounded_down() -> None:
    """Every second scale is quantised to the next smaller value, as if rounded down."""

    def smaller(state: Any) -> None:
        odd = torch.arange(len(state.absmax), device=state.absmax.device) % 2
        state.absmax = (state.absmax.int() - odd).clamp(min=0).to(torch.uint8)

    import torch

    _change_scales(smaller)


@fault(
    "quantisation",
    QLORA,
    upstream="https://github.com/bitsandbytes-foundation/bitsandbytes/pull/1884",
)
def last_block_spoilt() -> None:
    """The last block's scale is computed from numbers outside the matrix."""

    def spoilt(state: Any) -> None:
        state.absmax[-1] = 255  # the largest scale of the matrix's

    _change_scales(spoilt)


@fault("quantisation", QLORA)
def offset_of_scales_forgotten() -> None:
    """The mean, subtracted from the scales before quantisation, is not added back."""

    def without(state: Any) -> None:
        state.offset.zero_()

    _change_scales(without)


@fault("quantisation", QLORA)
def float4_instead_of_normal_float4() -> None:
    """The base weights are in FP4 instead of the requested NF4."""
    from transformers import BitsAndBytesConfig

    @patch(BitsAndBytesConfig, "__init__")
    def other(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named | {"bnb_4bit_quant_type": "fp4"})


@fault("quantisation", QLORA)
def not_quantised_twice() -> None:
    """The requested double quantisation of the scales is not done."""
    from transformers import BitsAndBytesConfig

    @patch(BitsAndBytesConfig, "__init__")
    def once(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named | {"bnb_4bit_use_double_quant": False})


@fault("quantisation", QLORA)
def not_quantised() -> None:
    """The base weights are not quantised."""
    from pytest_ftcompare import methods

    @patch(methods.load("qlora"), "load_options")
    def nothing(real: Any, self: Any) -> dict[str, Any]:
        return {}
