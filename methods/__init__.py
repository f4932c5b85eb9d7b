"""The methods by name: one file each, but for LoRA's options, and those that a project adds.

Collecting reads these files, and no torch with them.
"""

from __future__ import annotations

import sys
from importlib import import_module, util
from pathlib import Path
from types import ModuleType
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
FILES = {
    "dora": "lora_options",
    "rslora": "lora_options",
    "pissa": "lora_options",
}  # where a name is not its file's
ADDED: dict[str, Path] = {}  # the project's own, name -> its file


class MethodFileError(RuntimeError):
    """A method's file cannot be used; the message names the file and what it raised."""


def names() -> tuple[str, ...]:
    """All methods that can be named now."""
    return (*NAMES, *ADDED)


def file_of(name: str) -> Path:
    """The file that a method is in."""
    return ADDED[name] if name in ADDED else Path(__file__).with_name(f"{FILES.get(name, name)}.py")


def _module(name: str) -> ModuleType:
    """The module of a method's file; one of the project's own is read where it lies, and is no package's."""
    if name not in ADDED:
        return import_module(f"{__name__}.{FILES.get(name, name)}")
    called = f"ftcompare_methods_{name}"
    if called not in sys.modules or sys.modules[called].__file__ != str(ADDED[name]):
        spec = util.spec_from_file_location(called, ADDED[name])
        assert spec is not None and spec.loader is not None
        sys.modules[called] = module = util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[called]
            raise
    return sys.modules[called]


def load(name: str) -> type[Method]:
    """The method of that name; what its file raises while it is imported becomes one sentence."""
    if name not in names():
        raise LookupError(f"no method is called {name!r}: expected one of {', '.join(names())}")
    file = str(ADDED[name]) if name in ADDED else f"methods/{FILES.get(name, name)}.py"
    try:
        found: tuple[type[Method], ...] = _module(name).METHODS
    except AttributeError:
        raise MethodFileError(
            f"{file}: expected METHODS, a tuple of its classes, at its end"
        ) from None
    except Exception as error:
        raise MethodFileError(
            f"{file} could not be loaded: {type(error).__name__}: {error}"
        ) from error
    for one in found:
        if one.name == name:
            return one
    raise MethodFileError(
        f"{file}: expected a method with name = {name!r} in METHODS, found {', '.join(one.name for one in found)}"
    )
