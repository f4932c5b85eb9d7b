"""Estimate a case's device hours and memory by rule of thumb, before anything is loaded.

`capacity.py`, `memory_check.py` and the order of cases (plugin/case_order.py) call it. Training
costs 6 floating-point operations for each parameter and token (Kaplan et al. 2020,
arXiv:2001.08361, section 2.1), 4 if the base weights need no gradients, and reading costs 2. A step
takes at least the time of its kernel launches. A parameter that trains needs 16 bytes (Rajbhandari
et al. 2019, arXiv:1910.02054, section 3.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_ftcompare import methods, tasks
from pytest_ftcompare.gate.profiles import Profile
from pytest_ftcompare.methods.base import Method, Recipe
from pytest_ftcompare.results.case import Case

# The values below are chosen, unless they name a source. Raising any of them raises the estimate.
TOKENS_PER_ROW = 64
DEFAULT_TEST_ROWS = 1000  # rows of a test split that the profile does not limit
ANSWER_TOKENS = 16  # each takes a step
# Bytes per parameter: trained (weight, gradient and two moments), frozen in float32, and in NF4.
TRAINED_BYTES, FROZEN_BYTES, QUANTISED_BYTES = (16.0, 4.0, 0.6)
ACTIVATION_FACTOR = 1.2  # memory with activations and libraries' buffers, relative to weights
LIBRARY_BYTES = 0.5e9


@dataclass(frozen=True)
class AssumedSpeed:
    """A device's floating-point operations per second, and the least seconds of a step."""

    operations_per_second: float
    step_seconds: float


# Chosen, for one core of a CPU and for one GPU. A higher speed lowers the estimate.
ASSUMED_SPEEDS = {"cpu": AssumedSpeed(1e11, 0.02), "cuda": AssumedSpeed(5e13, 0.03)}


@dataclass(frozen=True)
class ResourceEstimate:
    """Hours on one device for one seed, and bytes of its memory."""

    hours: float
    memory: float


def _recipe(case: Case, profile: Profile, method: type[Method]) -> Recipe | None:
    output_mode = case.output_mode or method.output_modes[0]
    return method.recipes.get(f"{profile.scale}, {output_mode}", method.recipes.get(profile.scale))


def update_bytes(method: type[Method], parameters: float) -> float:
    """Estimate the bytes of an update of a base model with so many parameters."""
    quantised = method.load_options is not Method.load_options
    trains_all = method.trains and method.apply is Method.apply
    weight_bytes = TRAINED_BYTES if trains_all else QUANTISED_BYTES if quantised else FROZEN_BYTES
    return parameters * weight_bytes * ACTIVATION_FACTOR + LIBRARY_BYTES


def estimate(case: Case, profile: Profile, device: str) -> ResourceEstimate | None:
    """Estimate one seed of a case on "cpu" or "cuda".

    Return None if the size of the base model is unknown.
    """
    try:
        method = methods.load(case.method)
    except methods.MethodFileError:
        return None
    recipe, parameters = _recipe(case, profile, method), profile.parameters.get(case.model)
    if recipe is None or parameters is None:
        return None
    task, speed = tasks.load(case.task), ASSUMED_SPEEDS[device]
    options = dict(case.options)
    rows = case.shots * (1 if task.generative else len(task.labels))
    epochs = options.get("epochs", recipe.epochs) if method.trains else 0
    trains_base = method.apply is Method.apply
    steps = epochs * -(-rows // options.get("batch_size", recipe.batch_size))
    training = max(
        (6 if trains_base else 4)
        * parameters
        * TOKENS_PER_ROW
        * rows
        * epochs
        / speed.operations_per_second,
        steps * speed.step_seconds,
    )
    test_rows = (profile.test_rows or DEFAULT_TEST_ROWS) * len(task.splits().keys() - {"train"})
    evaluation = 2 * parameters * TOKENS_PER_ROW * test_rows / speed.operations_per_second + (
        ANSWER_TOKENS * test_rows / 64 * speed.step_seconds if task.generative else 0
    )
    memory = update_bytes(method, parameters)
    return ResourceEstimate((training + evaluation) / 3600, memory)


def total_hours(cases: Iterable[Case], profile: Profile, device: str) -> tuple[float, int]:
    """Return the hours for one seed of each case, and the number of cases without an estimate."""
    estimates = [estimate(case, profile, device) for case in cases]
    return (
        sum(estimated.hours for estimated in estimates if estimated is not None),
        estimates.count(None),
    )


def why_too_large(case: Case, profile: Profile, device: str, memory: float) -> str:
    """Return why a case does not fit into `memory` bytes, "" if it fits or is not known."""
    needed = estimate(case, profile, device)
    if needed is None or not memory or needed.memory <= memory:
        return ""
    needs, has = (f"{size / 2**30:.0f}" for size in (needed.memory, memory))
    return (
        f"{case.method} on {case.model} needs about {needs} GiB, "
        f"this {DEVICE_NAMES[device]} has {has}"
    )


DEVICE_NAMES = {"cpu": "machine", "cuda": "GPU"}
