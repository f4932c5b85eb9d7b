"""Faults of quantised base weights."""

from __future__ import annotations

import copy
from typing import Any

from .change import Case, fault, patch

QLORA = Case("qlora")


@fault("quantisation", QLORA, upstream="https://github.com/bitsandbytes-foundation/bitsandbytes/pull/1549")
def scales_not_dequantised() -> None:
    """The scales, quantised once more, are used as they are stored."""
    from bitsandbytes import functional

    @patch(functional, "dequantize_4bit")
    def raw(real: Any, tensor: Any, quant_state: Any = None, *arguments: Any, **named: Any) -> Any:
        if quant_state is not None and quant_state.nested:
            quant_state = copy.copy(quant_state)
            quant_state.absmax, quant_state.nested = quant_state.absmax.float() / 255, False
        return real(tensor, quant_state, *arguments, **named)


@fault("quantisation", QLORA, upstream="https://github.com/bitsandbytes-foundation/bitsandbytes/pull/1582")
def scales_rounded_down() -> None:
    """Scales are quantised to the next smaller value instead of the nearest."""
    import torch
    from bitsandbytes import functional

    @patch(functional, "dequantize_4bit")
    def smaller(real: Any, tensor: Any, quant_state: Any = None, *arguments: Any, **named: Any) -> Any:
        if quant_state is not None and quant_state.nested:
            quant_state = copy.copy(quant_state)
            odd = torch.arange(len(quant_state.absmax), device=quant_state.absmax.device) % 2
            quant_state.absmax = (quant_state.absmax.int() - odd).clamp(min=0).to(torch.uint8)
        return real(tensor, quant_state, *arguments, **named)


@fault("quantisation", QLORA, upstream="https://github.com/bitsandbytes-foundation/bitsandbytes/pull/1884")
def last_block_spoilt() -> None:
    """The last block's scale is computed from numbers that are not the matrix's."""
    from bitsandbytes import functional

    @patch(functional, "dequantize_4bit")
    def spoilt(real: Any, tensor: Any, quant_state: Any = None, *arguments: Any, **named: Any) -> Any:
        found = real(tensor, quant_state, *arguments, **named).clone()
        if quant_state is not None:
            found.flatten()[-quant_state.blocksize :].mul_(1.5)
        return found


@fault("quantisation", QLORA)
def offset_of_scales_forgotten() -> None:
    """The mean that was taken from the scales before they were quantised is not added again."""
    import torch
    from bitsandbytes import functional

    @patch(functional, "dequantize_4bit")
    def without(real: Any, tensor: Any, quant_state: Any = None, *arguments: Any, **named: Any) -> Any:
        if quant_state is not None and quant_state.nested:
            quant_state = copy.copy(quant_state)
            quant_state.offset = torch.zeros_like(quant_state.offset)
        return real(tensor, quant_state, *arguments, **named)


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
