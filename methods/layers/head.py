"""The classification head of a model: what trains beside a method's own modules, and what each source task has of its own."""

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
    """Only the head, where one is asked, and the parameters whose names `but` accepts train."""
    base: Any = model.base_model_prefix
    prefix = f"{base}."
    for name, parameter in model.named_parameters():
        parameter.requires_grad = keep(name) or (
            output_mode == "head" and not name.startswith(prefix)
        )
    return model


def _find_head(model: nn.Module) -> tuple[nn.Module, str]:
    """The module that holds the head, and by which name."""
    holder: Any = model
    if hasattr(holder, "get_base_model"):
        holder = holder.get_base_model()
    name = next(name for name in ("score", "classifier") if hasattr(holder, name))
    return holder, name


def fresh_head(model: nn.Module) -> nn.Module:
    """A copy of the model's head with other random weights."""
    holder, name = _find_head(model)
    head: Any = getattr(holder, name)
    if hasattr(head, "modules_to_save"):  # peft keeps the untrained head beside the one in use
        head = head.modules_to_save["default"]
    head = copy.deepcopy(head)
    for module in head.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    found: nn.Module = head
    return found


@contextmanager
def replaced_head(model: nn.Module, head: nn.Module) -> Iterator[None]:
    """The model with another head."""
    holder, name = _find_head(model)
    mine = getattr(holder, name)
    setattr(holder, name, head)
    try:
        yield
    finally:
        setattr(holder, name, mine)
