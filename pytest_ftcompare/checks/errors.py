"""Turn an error inside a check into that check's sentence.

`invariants.py` and the checks of suites use it, so that a library's error names what was checked.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ftcompare.methods.base import MethodError
from pytest_ftcompare.training.memory_error import missing_memory
from pytest_ftcompare.training.model_kind import ModelError
from pytest_ftcompare.training.train import TrainingError

# A user can remove these; they are no broken invariant.
USER_ERRORS = (MethodError, ModelError, TrainingError)


def broken_by(promise: str, error: Exception) -> str:
    """Return the sentence of a promise that an error broke.

    Errors that a user can remove, and those of memory, are raised again.
    """
    if isinstance(error, USER_ERRORS) or missing_memory(error) is not None:
        raise error
    return f"{promise}, it raised {type(error).__name__}: {error}"


def guarded(check: str, sentences: Iterator[str]) -> Iterator[str]:
    """Yield a check's sentences; an error ends them and is the last."""
    try:
        yield from sentences
    except Exception as error:
        yield broken_by(f"{check} must work", error)
