"""Look up methods by name: the shipped ones and those that a project adds.

pytest reads these files when it collects cases, so they import torch only inside functions.
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
# Methods whose file has another name.
FILES = {
    "dora": "lora_options",
    "rslora": "lora_options",
    "pissa": "lora_options",
}
ADDED: dict[str, Path] = {}  # a project's methods, name -> file (`gate/project_config.py`)


class MethodFileError(RuntimeError):
    """A method's file cannot be used; the message names the file and its error."""


def names() -> tuple[str, ...]:
    """Return the names of the shipped and the added methods."""
    return (*NAMES, *ADDED)


def file_of(name: str) -> Path:
    """Return the file that defines a method."""
    return ADDED[name] if name in ADDED else Path(__file__).with_name(f"{FILES.get(name, name)}.py")


def _load_module(name: str) -> ModuleType:
    """Import a method's file; a project's file is imported from its path, outside any package."""
    if name not in ADDED:
        return import_module(f"{__name__}.{FILES.get(name, name)}")
    full_name = f"ftcompare_methods_{name}"
    if full_name not in sys.modules or sys.modules[full_name].__file__ != str(ADDED[name]):
        spec = util.spec_from_file_location(full_name, ADDED[name])
        assert spec is not None and spec.loader is not None
        sys.modules[full_name] = module = util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[full_name]
            raise
    return sys.modules[full_name]


def load(name: str) -> type[Method]:
    """Return the class of a method.

    An unknown name raises `LookupError`, an unusable file `MethodFileError`.
    """
    if name not in names():
        raise LookupError(f"no method is called {name!r}: expected one of {', '.join(names())}")
    file = str(ADDED[name]) if name in ADDED else f"methods/{FILES.get(name, name)}.py"
    try:
        methods: tuple[type[Method], ...] = _load_module(name).METHODS
    except AttributeError:
        raise MethodFileError(
            f"{file}: expected METHODS, a tuple of its classes, at its end"
        ) from None
    except Exception as error:
        raise MethodFileError(
            f"{file} could not be loaded: {type(error).__name__}: {error}"
        ) from error
    for method in methods:
        if method.name == name:
            return method
    raise MethodFileError(
        f"{file}: expected a method with name = {name!r} in METHODS, "
        f"found {', '.join(method.name for method in methods)}"
    )
