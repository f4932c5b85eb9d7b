"""What a change of a stack is, here: a small patch put into a running suite from outside, and the cases that meet it.

A `fault` makes results wrong or dearer, a `benign` change does not. Both are functions that patch libraries when they are
called, in a process of their own; their docstring says in one sentence what is other, their name is the change's name.
"""

from __future__ import annotations

import functools
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

MODEL = "pocket/opt-1.4m"
SUITES = {
    16: "few_shot",
    64: "few_shot",
    32: "peft_methods",
}  # of the shipped suites, by the shots of their tables
TASKS = {"cola": "pocket_cola", "mnli": "pocket_mnli"}


@dataclass(frozen=True)
class Case:
    """A case of a shipped suite; with options, or of a task that those lack, one of a suite that the runner writes."""

    method: str
    task: str = "cola"
    shots: int = 32
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def id(self) -> str:
        """The case's id, as in its test and its baseline."""
        changed = "".join(f"-{name}={value}" for name, value in sorted(self.options))
        return f"{self.method}-{TASKS.get(self.task, self.task)}-{MODEL.rsplit('/', 1)[-1]}-n{self.shots}{changed}"

    @property
    def suite(self) -> str | None:
        """The shipped suite that has it; None where the runner writes one."""
        return None if self.options or self.task not in TASKS else SUITES[self.shots]


@dataclass(frozen=True)
class Change:
    """A patch and what is known of it.

    `area` is the part of a stack; `upstream` the issue or pull request of a bug that was fixed, or "". `upgrade` says that
    the change comes with other versions of transformers, peft and torch. `environ` and `arguments` are for the run.
    """

    name: str
    says: str
    area: str
    cases: tuple[Case, ...]
    apply: Callable[[], None]
    upstream: str = ""
    upgrade: bool = True
    environ: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


FAULTS: dict[str, Change] = {}
BENIGN: dict[str, Change] = {}
REACHED: set[str] = set()  # what was patched and then called in this process
BROKEN: list[str] = []  # errors of the patches themselves, which find nothing
UNDO: list[tuple[Any, str, Any]] = []  # owner, name and what was there before, of each patch


def _add(
    registry: dict[str, Change], area: str, cases: tuple[Case, ...], options: dict[str, Any]
) -> Callable[..., Any]:
    def decorate(apply: Callable[[], None]) -> Callable[[], None]:
        name = apply.__name__
        if name in FAULTS or name in BENIGN:
            raise ValueError(
                f"expected each change to have a name of its own, {name} is there twice"
            )
        registry[name] = Change(
            name, " ".join((apply.__doc__ or "").split()), area, cases, apply, **options
        )
        return apply

    return decorate


def fault(area: str, *cases: Case, **options: Any) -> Callable[..., Any]:
    """Registers a function as a fault that the named cases meet."""
    return _add(FAULTS, area, cases, options)


def benign(*cases: Case, **options: Any) -> Callable[..., Any]:
    """Registers a function as a change that must not fail a case."""
    return _add(BENIGN, "benign", cases, options)


def _is_ours(error: Exception) -> bool:
    """Whether an error comes from a patch itself, not from what the patched code calls."""
    frames = traceback.extract_tb(error.__traceback__)
    return Path(frames[-1].filename).parent == Path(__file__).parent


def patch(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:
    """Puts the decorated function in the place of `owner.name`, which it is given as its first argument.

    A function of a module is replaced wherever it was imported by its name. What is not there is an `AttributeError`.
    """
    before = inspect.getattr_static(owner, name)
    real: Any = before
    if isinstance(before, staticmethod | classmethod):
        real = before.__func__
    elif isinstance(before, property):
        real = before.fget
    elif isinstance(before, functools.cached_property):
        real = before.func

    def decorate(other: Callable[..., Any]) -> None:
        @functools.wraps(real)
        def called(*arguments: Any, **named: Any) -> Any:
            REACHED.add(f"{getattr(owner, '__name__', owner)}.{name}")
            try:
                return other(real, *arguments, **named)
            except Exception as error:
                if _is_ours(error):
                    BROKEN.append(f"{owner}.{name}: {type(error).__name__}: {error}")
                raise

        kinds: tuple[type, ...] = (staticmethod, classmethod, property, functools.cached_property)
        kind: Any = next((one for one in kinds if isinstance(before, one)), None)
        after: Any = called if kind is None else kind(called)
        if isinstance(after, functools.cached_property):
            after.__set_name__(owner, name)
        places = [owner]
        if isinstance(owner, ModuleType):
            places += [
                one
                for one in [*sys.modules.values()]
                if one is not owner and vars(one).get(name) is before
            ]
        for place in places:
            UNDO.append((place, name, before))
            setattr(place, name, after)

    return decorate


def undo() -> None:
    """Takes all patches back, the last one first."""
    while UNDO:
        setattr(*UNDO.pop())
    REACHED.clear()
