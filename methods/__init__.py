"""The methods by name: one file each. `NAMES` is literal, so that collecting imports none of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .base import Method

NAMES = ("full", "pbft", "icl", "lora")


class MethodError(RuntimeError):
    """A method's file cannot be used; the message names the file and what it raised."""


def load(name: str) -> type[Method]:
    """The method of that name; what its file raises while it is imported becomes one sentence."""
    if name not in NAMES:
        raise LookupError(f"no method is called {name!r}: expected one of {', '.join(NAMES)}")
    try:
        method: type[Method] = import_module(f"{__name__}.{name}").METHOD
    except Exception as error:
        raise MethodError(f"methods/{name}.py could not be loaded: {type(error).__name__}: {error}") from error
    return method
