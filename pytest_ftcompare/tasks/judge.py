"""Load a project's judge of written answers: a function (answer, example) -> score from 0 to 1.

`project_config.py` makes a `Judge` the `score` of a task. The judge's file is imported with the
first answer, not while pytest collects cases.
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
    """The function `name` of a Python file."""

    file: Path
    name: str

    def __call__(self, answer: str, example: Example) -> float:
        """Return the score of an answer. Raise `DataError` unless it is a number from 0 to 1."""
        score = _load_function(self)(answer, example)
        if not isinstance(score, int | float) or not 0 <= score <= 1:
            raise DataError(
                f"expected a score from 0 to 1 of {self.name} in {self.file}, "
                f"got {score!r} for {answer!r}"
            )
        return float(score)


@cache
def _load_function(judge: Judge) -> Callable[[str, Example], Any]:
    spec = util.spec_from_file_location(f"ftcompare_judge_{judge.file.stem}", judge.file)
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        function: Callable[[str, Example], Any] = getattr(module, judge.name)
    except Exception as error:
        raise DataError(
            f"the judge {judge.file} could not be loaded: {type(error).__name__}: {error}"
        ) from error
    return function
