"""From a suite's table (a marker) to its cases, checked at collection. Imports no torch, which methods' files do not need."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from pytest_ftcompare import tasks
from pytest_ftcompare.gate.profiles import Profile
from pytest_ftcompare.results.case import Case, Options

MARKER = (
    "ftcompare(methods, tasks, shots, models=None, options=None, grid=None, judge_accuracy=True, judge_from_shots=1): the table of a "
    "suite; its test runs once for each combination. tasks, models and shots are the profile's names or values; models default "
    "to the profile's; options override the method's recipe, grid has several values of each; judge_accuracy=False shows "
    "accuracy without judging it, as do fewer shots than judge_from_shots, a number or the least of the profile's of that name."
)


def _known(kind: str, name: str, names: Iterable[str]) -> None:
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise pytest.Collector.CollectError(
            f"no {kind} is called {name!r}: expected one of {', '.join(names)}.{hint}"
        )


def _askable(method: str, name: str, options: Options) -> None:
    """Whether the method can ask a model about the task; what its file raises is the case's to say, when it runs."""
    from pytest_ftcompare import methods

    try:
        output_modes = methods.load(method).output_modes
    except methods.MethodFileError:
        return
    output_mode = dict(options).get("output_mode", output_modes[0])
    if output_mode not in output_modes:
        expected = " or ".join(repr(one) for one in output_modes)
        raise pytest.Collector.CollectError(
            f"{method} has no output mode {output_mode!r}: expected output_mode={expected} in its options"
        )
    task = tasks.load(name)
    if task.token_labels:
        raise pytest.Collector.CollectError(
            f"{method} on {name}: expected a task with one label a row, {name} labels words"
        )
    if task.generative != (output_mode == "answer"):
        written = "writes its answers" if task.generative else "has classes"
        raise pytest.Collector.CollectError(
            f"{method} on {name}: expected another output_mode than {output_mode!r}, as the task {written}"
        )
    if output_mode == "pattern" and not task.verbalizers:
        raise pytest.Collector.CollectError(
            f"{method} on {name}: expected a task with verbalizers for output_mode pattern, it has none"
        )


def _of_marker(marker: pytest.Mark, suite: str, profile: Profile) -> Iterator[Case]:
    from pytest_ftcompare import methods

    known = {
        "methods",
        "tasks",
        "shots",
        "models",
        "options",
        "grid",
        "judge_accuracy",
        "judge_from_shots",
    }
    wrong = sorted(set(marker.kwargs) - known)
    missing = sorted({"methods", "tasks", "shots"} - set(marker.kwargs))
    if wrong or missing or marker.args:
        what = (
            f"has no {', '.join(missing)}"
            if missing
            else f"does not know {', '.join(wrong) or 'positional values'}"
        )
        raise pytest.Collector.CollectError(
            f"the marker ftcompare {what}: expected {MARKER.split(':')[0]}"
        )
    judge_accuracy, judge_from_shots = (
        marker.kwargs.get("judge_accuracy", True),
        min(_shots(marker.kwargs.get("judge_from_shots", 1), profile)),
    )
    for task, model, shots, options, method in product(
        marker.kwargs["tasks"],
        marker.kwargs.get("models") or profile.models,
        _shots(marker.kwargs["shots"], profile),
        _options(marker),
        marker.kwargs["methods"],
    ):
        name = profile.tasks.get(task, task)
        _known("task", name, (*profile.tasks, *tasks.names()))
        _known("method", method, methods.names())
        _askable(method, name, options)
        yield Case(
            suite,
            method,
            name,
            profile.bases.get(model, model),
            shots,
            options,
            judge_accuracy and shots >= judge_from_shots,
        )


def _shots(given: Any, profile: Profile) -> Sequence[int]:
    """Numbers of examples: those of the profile where the table names them."""
    if isinstance(given, str):
        _known("number of shots", given, profile.shots)
        given = profile.shots[given]
    given = (given,) if isinstance(given, int) else given
    for one in given:
        if not isinstance(one, int) or one < 1:
            raise pytest.Collector.CollectError(
                f"shots: expected a number of at least 1, got {one!r}"
            )
    return tuple(given)


def _options(marker: pytest.Mark) -> list[Options]:
    """The options of the table, with each combination of its grid."""
    common = marker.kwargs.get("options") or {}
    grid = marker.kwargs.get("grid") or {}
    return [
        tuple(sorted((common | dict(zip(grid, one, strict=True))).items()))
        for one in product(*grid.values())
    ]


def case_of(item: pytest.Item) -> Case | None:
    """The case that a test is of, None for another test."""
    callspec = getattr(item, "callspec", None)
    case = callspec.params.get("gate") if callspec else None
    return case if isinstance(case, Case) else None


def judged(items: Iterable[pytest.Item]) -> int:
    """How many of the tests judge an outcome: they share the session's error rate."""
    return sum(case is not None and case.judge_accuracy for case in map(case_of, items))


def check_distinct(items: Iterable[pytest.Item]) -> None:
    """Two tests must not share a baseline: suites are told apart by their file's name alone."""
    seen: dict[tuple[str, str], str] = {}
    for item in items:
        case = case_of(item)
        if (
            case is not None
            and (other := seen.setdefault((case.suite, case.id), item.nodeid)) != item.nodeid
        ):
            raise pytest.UsageError(
                f"{item.nodeid} and {other} have the same baseline, {case.suite}/{case.id}.json: "
                "rename a suite's file, or join their tables in one test"
            )


def suite_of(file: Path) -> str:
    """The name of the suite that a file of tests is: the file's without `test_`."""
    return file.stem.removeprefix("test_")


def cases(metafunc: pytest.Metafunc, profile: Profile) -> list[Case]:
    """The cases of a test function."""
    suite = suite_of(metafunc.definition.path)
    return of_marks(
        metafunc.definition.iter_markers("ftcompare"), suite, profile, metafunc.definition.nodeid
    )


def of_marks(marks: Iterable[pytest.Mark], suite: str, profile: Profile, test: str) -> list[Case]:
    """The cases of a `test`, in the order of its tables.

    Of those with the same method, model and options, which cost the same, the first is timed.
    """
    found: dict[str, Case] = {}
    for marker in marks:
        for case in _of_marker(marker, suite, profile):
            if found.setdefault(case.id, case) != case:
                raise pytest.Collector.CollectError(f"two cases of {test} are called {case.id}")
    first: dict[tuple[object, ...], Case] = {}
    for case in found.values():
        first.setdefault((case.method, case.model, repr(case.options)), case)
    return [replace(case, timed=case in first.values()) for case in found.values()]
