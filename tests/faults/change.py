"""Changes of a stack: small patches of a running suite, and the cases and checks run with them.

A `fault` makes results wrong or costs higher; a `benign` change does not. Both are functions that
patch libraries when called, each in its own process. The function's name is the change's name, and
its docstring describes the change in one sentence.
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
# The shipped suites by the shots of their tables.
SUITES = {16: "few_shot", 64: "few_shot", 32: "peft_methods"}
TASKS = {"cola": "pocket_cola", "mnli": "pocket_mnli"}


@dataclass(frozen=True)
class Case:
    """A case of a shipped suite or of the runner's own suite.

    The runner's suite has the cases with options, and tasks that the shipped suites lack.
    """

    method: str
    task: str = "cola"
    shots: int = 32
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def id(self) -> str:
        """The case's id, as in its test and its baseline."""
        changed = "".join(f"-{name}={value}" for name, value in sorted(self.options))
        task, model = TASKS.get(self.task, self.task), MODEL.rsplit("/", 1)[-1]
        return f"{self.method}-{task}-{model}-n{self.shots}{changed}"

    @property
    def suite(self) -> str | None:
        """The shipped suite that has the case; None means the runner's own suite."""
        return None if self.options or self.task not in TASKS else SUITES[self.shots]


@dataclass(frozen=True)
class Change:
    """A patch and its description.

    `area` is the part of a stack. `upstream` is the issue or pull request of a fixed bug, or "".
    With `upgrade`, the run's environment claims other versions of transformers, peft and torch.
    `checks` are items of the suites without baselines, by test id without the suites' folder.
    `environ` and `arguments` are the run's environment variables and pytest arguments.
    """

    name: str
    description: str
    area: str
    cases: tuple[Case, ...]
    apply: Callable[[], None]
    upstream: str = ""
    upgrade: bool = True
    environ: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


FAULTS: dict[str, Change] = {}
BENIGN: dict[str, Change] = {}
REACHED: set[str] = set()  # patched functions that this process called
PATCH_ERRORS: list[str] = []  # errors of the patches themselves
UNDO: list[tuple[Any, str, Any]] = []  # owner, name and original of each patch


def _add(
    registry: dict[str, Change], area: str, cases: tuple[Case, ...], options: dict[str, Any]
) -> Callable[..., Any]:
    def decorate(apply: Callable[[], None]) -> Callable[[], None]:
        name = apply.__name__
        if name in FAULTS or name in BENIGN:
            raise ValueError(f"expected each change to have its own name, {name} is there twice")
        registry[name] = Change(
            name, " ".join((apply.__doc__ or "").split()), area, cases, apply, **options
        )
        return apply

    return decorate


def fault(area: str, *cases: Case, **options: Any) -> Callable[..., Any]:
    """Register a function as a fault of the given cases, and of `checks` among the options."""
    return _add(FAULTS, area, cases, options)


def benign(*cases: Case, **options: Any) -> Callable[..., Any]:
    """Register a function as a change that must not fail a case."""
    return _add(BENIGN, "benign", cases, options)


def _is_patch_error(error: Exception) -> bool:
    """Return whether an error comes from a patch itself, not from code that it calls."""
    frames = traceback.extract_tb(error.__traceback__)
    return Path(frames[-1].filename).parent == Path(__file__).parent


def patch(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:
    """Replace `owner.name` by the decorated function, which gets the original as first argument.

    A module's function is also replaced in modules that imported it by name. A missing name raises
    `AttributeError`.
    """
    before = inspect.getattr_static(owner, name)
    real: Any = before
    if isinstance(before, staticmethod | classmethod):
        real = before.__func__
    elif isinstance(before, property):
        real = before.fget
    elif isinstance(before, functools.cached_property):
        real = before.func

    def decorate(replacement: Callable[..., Any]) -> None:
        @functools.wraps(real)
        def called(*arguments: Any, **named: Any) -> Any:
            REACHED.add(f"{getattr(owner, '__name__', owner)}.{name}")
            try:
                return replacement(real, *arguments, **named)
            except Exception as error:
                if _is_patch_error(error):
                    PATCH_ERRORS.append(f"{owner}.{name}: {type(error).__name__}: {error}")
                raise

        kinds: tuple[type, ...] = (staticmethod, classmethod, property, functools.cached_property)
        kind: Any = next((option for option in kinds if isinstance(before, option)), None)
        after: Any = called if kind is None else kind(called)
        if isinstance(after, functools.cached_property):
            after.__set_name__(owner, name)
        owners = [owner]
        if isinstance(owner, ModuleType):
            owners += [
                module
                for module in [*sys.modules.values()]
                if module is not owner and vars(module).get(name) is before
            ]
        for patched in owners:
            UNDO.append((patched, name, before))
            setattr(patched, name, after)

    return decorate


def undo() -> None:
    """Take all patches back, the last one first."""
    while UNDO:
        setattr(*UNDO.pop())
    REACHED.clear()
