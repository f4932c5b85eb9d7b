"""The methods by name: one file each, but for LoRA's options. Collecting reads these files, and no torch with them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .base import Method

NAMES = (
    # study 1: few-shot fine-tuning
    *("full", "pbft", "icl", "partial", "adaptive", "lora", "context_distillation"),
    # study 2: the catalogue of parameter-efficient methods
    *("prefix_tuning", "prompt_tuning", "p_tuning", "p_tuning_v2"),
    *("adapter", "adapter_fusion", "adapter_drop", "bitfit", "adalora", "qlora", "mam", "unipelt"),
    # what users of peft compare today
    *("dora", "rslora", "pissa", "ia3", "vera", "oft", "ln_tuning"),
)
FILES = {"dora": "lora_options", "rslora": "lora_options", "pissa": "lora_options"}  # where a name is not its file's


class MethodFileError(RuntimeError):
    """A method's file cannot be used; the message names the file and what it raised."""


def load(name: str) -> type[Method]:
    """The method of that name; what its file raises while it is imported becomes one sentence."""
    if name not in NAMES:
        raise LookupError(f"no method is called {name!r}: expected one of {', '.join(NAMES)}")
    file = FILES.get(name, name)
    try:
        methods: dict[str, type[Method]] = {one.name: one for one in import_module(f"{__name__}.{file}").METHODS}
        return methods[name]
    except Exception as error:
        raise MethodFileError(f"methods/{file}.py could not be loaded: {type(error).__name__}: {error}") from error
