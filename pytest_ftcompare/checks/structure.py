"""Describe a model's structure: what trains, types, optimiser, checkpoint size.

`invariants.py` and `gate/torch_case.py` call `structure`. It is exact on every machine.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pytest_ftcompare.results.result import Json
from pytest_ftcompare.training.train import trainable_parameters

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Method

OPTIMIZER_SETTINGS = ("lr", "betas", "eps", "weight_decay", "amsgrad", "maximize")


def _layer_pattern(name: str) -> str:
    """Replace layer numbers in a tensor's name by `*`, so that equal layers are counted."""
    return re.sub(r"\.\d+\.", ".*.", name)


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def checkpoint_bytes(method: Method, model: nn.Module) -> int:
    """Return the bytes of the tensor files that `save` writes, with their headers."""
    with tempfile.TemporaryDirectory() as folder:
        method.save(model, Path(folder))
        return sum(file.stat().st_size for file in Path(folder).rglob("*.safetensors"))


def structure(method: Method, model: nn.Module, optimizer: torch.optim.Optimizer | None) -> Json:
    """Return the structure of a model after its first update."""
    trained = trainable_parameters(model)
    dtypes: Counter[str] = Counter()
    for parameter in model.parameters():
        dtypes[str(parameter.dtype).removeprefix("torch.")] += parameter.numel()
    tensors = Counter(
        f"{_layer_pattern(name)} {list(parameter.shape)}" for name, parameter in trained.items()
    )
    dropout = Counter(
        f"{_layer_pattern(name)} {module.p:g}"
        for name, module in model.named_modules()
        if isinstance(module, nn.Dropout)
    )
    signature: Json = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "trainable": sum(parameter.numel() for parameter in trained.values()),
        "dtypes": dict(sorted(dtypes.items())),
        "trains": dict(sorted(tensors.items())),
        "dropout": dict(sorted(dropout.items())),
        "checkpoint bytes": checkpoint_bytes(method, model),
    }
    if optimizer is not None:
        groups = [
            {name: _as_json(group[name]) for name in OPTIMIZER_SETTINGS if name in group}
            | {"tensors": len(group["params"])}
            for group in optimizer.param_groups
        ]
        state = [
            value
            for parameter_state in optimizer.state.values()
            for value in parameter_state.values()
            if isinstance(value, torch.Tensor)
        ]
        signature["optimizer"] = {"type": type(optimizer).__name__, "groups": groups}
        signature["optimizer state bytes"] = sum(
            value.numel() * value.element_size() for value in state
        )
    return signature
