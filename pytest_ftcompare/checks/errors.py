"""Turn an error inside a check into that check's sentence.

`invariants.py` and the checks of suites use it, so that a library's error names what was checked.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

from pytest_ftcompare.methods.base import MethodError
from pytest_ftcompare.training.memory_error import missing_memory
from pytest_ftcompare.training.model_kind import ModelError
from pytest_ftcompare.training.train import TrainingError

# How errors of CUDA's runtime (github.com/pytorch/pytorch/pull/152023), its driver, cuDNN and
# Triton begin. Whether the GPU still computes is asked where the case ends
# (measure/gpu_failure.py).
GPU_ERROR = re.compile(r"(CUDA|CUDA driver|cuDNN) error: |Triton Error \[CUDA\]: ")
# A user can fix these. They are no broken invariant.
USER_ERRORS = (MethodError, ModelError, TrainingError)


def raise_if_device(error: Exception) -> None:
    """Raise an error of the device again: an allocation or a GPU failed, and no invariant broke."""
    if missing_memory(error) is not None or GPU_ERROR.match(str(error)):
        raise error


def error_sentence(promise: str, error: Exception) -> str:
    """Return the sentence of a promise that an error broke, with the line that raised it.

    Errors that a user can fix, and those of the device, are raised again.
    """
    raise_if_device(error)
    if isinstance(error, USER_ERRORS):
        raise error
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{promise}, it raised {type(error).__name__}: {error}{place}"


def guarded(check: str, sentences: Iterable[str]) -> Iterator[str]:
    """Yield a check's sentences; an error ends them and is the last."""
    try:
        yield from sentences
    except Exception as error:
        yield error_sentence(f"{check} must work", error)
