"""The classification head: freeze all but it, make a fresh one, replace it for a source task."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from ..base import OutputMode


def freeze(
    model: nn.Module, output_mode: OutputMode, keep: Callable[[str], bool] = lambda name: False
) -> nn.Module:
    """Freeze all parameters but the head and those whose names `keep` accepts.

    Only output mode `head` has a head that trains.
    """
    base: Any = model.base_model_prefix
    prefix = f"{base}."
    for name, parameter in model.named_parameters():
        parameter.requires_grad = keep(name) or (
            output_mode == "head" and not name.startswith(prefix)
        )
    return model


def _find_head(model: nn.Module) -> tuple[nn.Module, str]:
    """Return the module that holds the head, and the head's name in it."""
    holder: Any = model
    if hasattr(holder, "get_base_model"):
        holder = holder.get_base_model()
    name = next(name for name in ("score", "classifier") if hasattr(holder, name))
    return holder, name


def fresh_head(model: nn.Module) -> nn.Module:
    """Return a copy of the model's head with new random weights."""
    holder, name = _find_head(model)
    head: Any = getattr(holder, name)
    if hasattr(head, "modules_to_save"):  # PEFT also keeps the untrained head
        head = head.modules_to_save["default"]
    head = copy.deepcopy(head)
    for module in head.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    fresh: nn.Module = head
    return fresh


@contextmanager
def replaced_head(model: nn.Module, head: nn.Module) -> Iterator[None]:
    """Give the model another head inside the context."""
    holder, name = _find_head(model)
    original = getattr(holder, name)
    setattr(holder, name, head)
    try:
        yield
    finally:
        setattr(holder, name, original)
