"""What a case would take, told before anything is imported or fetched: device hours and memory, by rule of thumb.

Training costs 6 floating-point operations for each parameter and token (Kaplan et al. 2020, arXiv:2001.08361, section 2.1), 4
where the base weights' own gradients are not needed, reading 2. A step takes no less than its launches do. Mixed-precision
states are those of Rajbhandari et al. 2019 (arXiv:1910.02054, section 3.1): 16 bytes for each parameter that trains.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_ftcompare import methods, tasks
from pytest_ftcompare.gate.profiles import Profile
from pytest_ftcompare.methods.base import Method, Recipe
from pytest_ftcompare.results.case import Case

TOKENS = 64  # of a row that is read, on average
TEST_ROWS = 1000  # where the profile does not bound them
ANSWER = 16  # tokens of an answer, each a step of its own
TRAINED, FROZEN, QUANTISED = (
    16.0,
    4.0,
    0.6,
)  # bytes a parameter: weight, gradient and two moments; float32; NF4
ROOM = 1.2  # for activations and the libraries' own
LIBRARIES = 0.5e9  # bytes


@dataclass(frozen=True)
class AssumedSpeed:
    """What a device does in a second, and the least time of one step."""

    operations: float
    step: float


SPEEDS = {"cpu": AssumedSpeed(1e11, 0.02), "cuda": AssumedSpeed(5e13, 0.03)}  # cpu: one core


@dataclass(frozen=True)
class ResourceEstimate:
    """Hours of one device for one seed, and bytes of its memory."""

    hours: float
    memory: float


def _recipe(case: Case, profile: Profile, method: type[Method]) -> Recipe | None:
    output_mode = case.output_mode or method.output_modes[0]
    return method.recipes.get(f"{profile.scale}, {output_mode}", method.recipes.get(profile.scale))


def estimate(case: Case, profile: Profile, device: str) -> ResourceEstimate | None:
    """What one seed of a case takes on "cpu" or "cuda"; None where nothing says how large its base model is."""
    try:
        method = methods.load(case.method)
    except methods.MethodFileError:
        return None
    recipe, parameters = _recipe(case, profile, method), profile.parameters.get(case.model)
    if recipe is None or parameters is None:
        return None
    task, speed = tasks.load(case.task), SPEEDS[device]
    given = dict(case.options)
    rows = case.shots * (1 if task.generative else len(task.labels))
    epochs = given.get("epochs", recipe.epochs) if method.trains else 0
    whole = method.apply is Method.apply
    steps = epochs * -(-rows // given.get("batch_size", recipe.batch_size))
    training = max(
        (6 if whole else 4) * parameters * TOKENS * rows * epochs / speed.operations,
        steps * speed.step,
    )
    tested = (profile.test_rows or TEST_ROWS) * len(task.splits().keys() - {"train"})
    reading = 2 * parameters * TOKENS * tested / speed.operations + (
        ANSWER * tested / 64 * speed.step if task.generative else 0
    )
    weight = QUANTISED if method.load_options is not Method.load_options else FROZEN
    memory = parameters * (TRAINED if whole and method.trains else weight) * ROOM + LIBRARIES
    return ResourceEstimate((training + reading) / 3600, memory)


def total_hours(cases: Iterable[Case], profile: Profile, device: str) -> tuple[float, int]:
    """Hours for one seed of each case, and how many cases have no estimate."""
    found = [estimate(one, profile, device) for one in cases]
    return sum(one.hours for one in found if one is not None), found.count(None)


def why_too_large(case: Case, profile: Profile, device: str, memory: float) -> str:
    """Why a case does not fit a device with so many bytes; empty where it does or where nothing is known."""
    found = estimate(case, profile, device)
    if found is None or not memory or found.memory <= memory:
        return ""
    needs, has = (f"{one / 2**30:.0f}" for one in (found.memory, memory))
    return f"{case.method} on {case.model} needs about {needs} GiB, this {NOUN[device]} has {has}"


NOUN = {"cpu": "machine", "cuda": "GPU"}
