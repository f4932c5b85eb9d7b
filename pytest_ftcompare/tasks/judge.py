"""A judge of written answers from a project's own file: a function (answer, example) -> 0 to 1, such as a judge model's score.

The file is imported when the first answer is judged, not while cases are collected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any

from pytest_ftcompare.tasks.base import DataError, Example


@dataclass(frozen=True)
class Judge:
    """The function called `name` in a Python file."""

    file: Path
    name: str

    def __call__(self, answer: str, example: Example) -> float:
        """The score of an answer; one that is no number from 0 to 1 is a `DataError`."""
        given = _function(self)(answer, example)
        if not isinstance(given, int | float) or not 0 <= given <= 1:
            raise DataError(
                f"expected a score from 0 to 1 of {self.name} in {self.file}, got {given!r} for {answer!r}"
            )
        return float(given)


@cache
def _function(judge: Judge) -> Callable[[str, Example], Any]:
    spec = util.spec_from_file_location(f"ftcompare_judge_{judge.file.stem}", judge.file)
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        found: Callable[[str, Example], Any] = getattr(module, judge.name)
    except Exception as error:
        raise DataError(
            f"the judge {judge.file} could not be loaded: {type(error).__name__}: {error}"
        ) from error
    return found
