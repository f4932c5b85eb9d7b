"""Replace 4-bit layers by plain layers with the weights that they stand for.

`gradient.py` and `base_models.py` compare a quantised model with its copy in plain layers.
"""

from __future__ import annotations

import copy
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn


def four_bit_layers(model: nn.Module) -> dict[str, Any]:
    """Return the model's 4-bit layers of bitsandbytes, by name."""
    if find_spec("bitsandbytes") is None:
        return {}
    from bitsandbytes.nn.modules import Linear4bit

    # PEFT has a layer of this name too, around the one that is meant.
    return {name: module for name, module in model.named_modules() if type(module) is Linear4bit}


def _plain(layer: Any) -> nn.Linear:
    from bitsandbytes.functional import dequantize_4bit

    weight: torch.Tensor = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    plain = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    plain.weight = nn.Parameter(weight, requires_grad=False)
    plain.bias = layer.bias
    return plain


def dequantised(model: nn.Module) -> nn.Module:
    """Return a copy with plain layers in place of the 4-bit layers."""
    plain = copy.deepcopy(model)
    for name, layer in four_bit_layers(plain).items():
        plain.set_submodule(name, _plain(layer))
    return plain
