"""Turn a suite's table, the marker `ftcompare`, into cases, and check them at collection.

Called by the hooks in `plugin/__init__.py` and by `claim_arms.py`. Loads no torch.
"""

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
    "ftcompare(methods, tasks, shots, models=None, options=None, grid=None, judge_accuracy=True, "
    "judge_from_shots=1): the table of a suite. Its test runs once for each combination. "
    "tasks, models and shots are names in the profile, or values. models=None takes the "
    "profile's models. options override the method's recipe; grid gives several values of each. "
    "judge_accuracy=False reports accuracy without judging it, and so do fewer shots than "
    "judge_from_shots, which is a number or a name in the profile, for its least number."
)


def _check_known(kind: str, name: str, names: Iterable[str]) -> None:
    """Raise `CollectError` with the nearest name if `name` is not among `names`."""
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise pytest.Collector.CollectError(
            f"no {kind} is called {name!r}: expected one of {', '.join(names)}.{hint}"
        )


def _check_output_mode(method: str, name: str, options: Options) -> None:
    """Raise `CollectError` if the method lacks the output mode, or the task does not fit it.

    A method file that cannot be loaded passes: the case reports it when it runs.
    """
    from pytest_ftcompare import methods

    try:
        output_modes = methods.load(method).output_modes
    except methods.MethodFileError:
        return
    output_mode = dict(options).get("output_mode", output_modes[0])
    if output_mode not in output_modes:
        expected = " or ".join(repr(mode) for mode in output_modes)
        raise pytest.Collector.CollectError(
            f"{method} has no output mode {output_mode!r}: "
            f"expected output_mode={expected} in its options"
        )
    task = tasks.load(name)
    if task.token_labels:
        raise pytest.Collector.CollectError(
            f"{method} on {name}: expected a task with one label per row, {name} labels words"
        )
    if task.generative != (output_mode == "answer"):
        kind = "is generative" if task.generative else "has classes"
        raise pytest.Collector.CollectError(
            f"{method} on {name}: expected another output_mode than {output_mode!r}, "
            f"because the task {kind}"
        )
    if output_mode == "pattern" and not task.verbalizers:
        raise pytest.Collector.CollectError(
            f"{method} on {name}: expected a task with verbalizers for output_mode pattern, "
            "the task has none"
        )


def _cases_of_marker(marker: pytest.Mark, suite: str, profile: Profile) -> Iterator[Case]:
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
        problem = (
            f"has no {', '.join(missing)}"
            if missing
            else f"does not know {', '.join(wrong) or 'positional values'}"
        )
        raise pytest.Collector.CollectError(
            f"the marker ftcompare {problem}: expected {MARKER.split(':')[0]}"
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
        _check_known("task", name, (*profile.tasks, *tasks.names()))
        _check_known("method", method, methods.names())
        _check_output_mode(method, name, options)
        yield Case(
            suite,
            method,
            name,
            profile.bases.get(model, model),
            shots,
            options,
            judge_accuracy and shots >= judge_from_shots,
        )


def _shots(shots: Any, profile: Profile) -> Sequence[int]:
    """Return the numbers of shots; look up a name in the profile. Raise `CollectError` below 1."""
    if isinstance(shots, str):
        _check_known("number of shots", shots, profile.shots)
        shots = profile.shots[shots]
    shots = (shots,) if isinstance(shots, int) else shots
    for number in shots:
        if not isinstance(number, int) or number < 1:
            raise pytest.Collector.CollectError(
                f"shots: expected a number of at least 1, got {number!r}"
            )
    return tuple(shots)


def _options(marker: pytest.Mark) -> list[Options]:
    """Return the table's options, once for each combination of its grid."""
    common = marker.kwargs.get("options") or {}
    grid = marker.kwargs.get("grid") or {}
    return [
        tuple(sorted((common | dict(zip(grid, values, strict=True))).items()))
        for values in product(*grid.values())
    ]


def case_of(item: pytest.Item) -> Case | None:
    """Return the test's case, None for a test without one."""
    callspec = getattr(item, "callspec", None)
    case = callspec.params.get("gate") if callspec else None
    return case if isinstance(case, Case) else None


def count_judged(items: Iterable[pytest.Item]) -> int:
    """Count the tests that judge accuracy: they share the session's error rate."""
    return sum(case is not None and case.judge_accuracy for case in map(case_of, items))


def check_distinct(items: Iterable[pytest.Item]) -> None:
    """Raise `UsageError` if two tests share a baseline.

    The name of a suite is its file's name, so files in two folders may clash.
    """
    seen: dict[tuple[str, str], str] = {}
    for item in items:
        case = case_of(item)
        if (
            case is not None
            and (other := seen.setdefault((case.suite, case.id), item.nodeid)) != item.nodeid
        ):
            raise pytest.UsageError(
                f"{item.nodeid} and {other} have the same baseline, {case.suite}/{case.id}.json: "
                "rename one suite's file, or move both tables to one test"
            )


def suite_name(file: Path) -> str:
    """Return the name of a test file's suite: the file's name without `test_`."""
    return file.stem.removeprefix("test_")


def cases(metafunc: pytest.Metafunc, profile: Profile) -> list[Case]:
    """Return the cases of a test function."""
    suite = suite_name(metafunc.definition.path)
    return cases_of_marks(
        metafunc.definition.iter_markers("ftcompare"), suite, profile, metafunc.definition.nodeid
    )


def cases_of_marks(
    marks: Iterable[pytest.Mark], suite: str, profile: Profile, test: str
) -> list[Case]:
    """Return the cases of a `test`, in the order of its tables.

    Cases with the same method, model and options cost the same: only the first is timed.
    Raise `CollectError` if two different cases have one id.
    """
    cases_by_id: dict[str, Case] = {}
    for marker in marks:
        for case in _cases_of_marker(marker, suite, profile):
            if cases_by_id.setdefault(case.id, case) != case:
                raise pytest.Collector.CollectError(f"two cases of {test} are called {case.id}")
    timed_cases: dict[tuple[object, ...], Case] = {}
    for case in cases_by_id.values():
        timed_cases.setdefault((case.method, case.model, repr(case.options)), case)
    return [replace(case, timed=case in timed_cases.values()) for case in cases_by_id.values()]
