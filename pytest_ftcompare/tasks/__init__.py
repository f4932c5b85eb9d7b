"""The tasks by name: one file each. `NAMES` is literal, so that collecting imports none of them."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from pytest_ftcompare.tasks.base import DataError, Example, Row, Source, Task, few_shot

NAMES = ("pocket_cola", "pocket_mnli", "pocket_sst", "pocket_ner", "pocket_instructions", "cola", "mnli", "blimp")


@cache
def load(name: str) -> Task:
    """The task of that name."""
    if name not in NAMES:
        raise LookupError(f"no task is called {name!r}: expected one of {', '.join(NAMES)}")
    task = import_module(f"pytest_ftcompare.tasks.{name}").TASK
    assert isinstance(task, Task)
    return task


__all__ = ["NAMES", "DataError", "Example", "Row", "Source", "Task", "few_shot", "load"]
