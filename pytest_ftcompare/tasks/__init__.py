"""Load a task by name: one of the shipped files, or one that a project adds.

`NAMES` is literal, so collecting cases imports no task.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from pytest_ftcompare.tasks.base import DataError, Example, Row, Source, Task, few_shot

NAMES = (
    "pocket_cola",
    "pocket_mnli",
    "pocket_sst",
    "pocket_ner",
    "pocket_instructions",
    "pocket_requests",
    "pocket_sums",
    "cola",
    "mnli",
    "blimp",
    "alpaca_zh",
    "alpaca_en",
)
# Tasks of the project, added by `gate/project_config.py`.
ADDED: dict[str, Task] = {}


def names() -> tuple[str, ...]:
    """Return the names of all shipped and added tasks."""
    return (*NAMES, *ADDED)


def load(name: str) -> Task:
    """Return the task called `name`. Raise `LookupError` if there is none."""
    if name in ADDED:
        return ADDED[name]
    if name not in NAMES:
        raise LookupError(f"no task is called {name!r}: expected one of {', '.join(names())}")
    return _shipped(name)


@cache
def _shipped(name: str) -> Task:
    task = import_module(f"pytest_ftcompare.tasks.{name}").TASK
    assert isinstance(task, Task)
    return task


__all__ = [
    "ADDED",
    "NAMES",
    "DataError",
    "Example",
    "Row",
    "Source",
    "Task",
    "few_shot",
    "load",
    "names",
]
