"""Audit cases of a suite against each other: sweeps that change nothing, unequal row budgets.

The controller calls it, because only it has the results of all workers. A `CaseSummary` is small
JSON that a worker sends. A `Finding` refuses every case that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations, groupby
from typing import Any

from pytest_ftcompare.compare.audit import MIN_BASELINE_SEEDS
from pytest_ftcompare.results.result import Json, Result


@dataclass(frozen=True)
class CaseSummary:
    """The part of a result that the audits read.

    `traces` and `predictions` are digests by seed (as text, for JSON). `traces` has no seed that
    did not train. `rows_drawn` is the number of rows that the case learned from, by task.
    """

    id: str
    suite: str
    identity: Json
    judge_accuracy: bool
    traces: dict[str, str]
    predictions: dict[str, str]
    rows_drawn: dict[str, int]

    @classmethod
    def of(cls, result: Result) -> CaseSummary:
        return cls(
            result.id,
            result.suite,
            result.identity,
            result.judge_accuracy,
            {
                str(seed_result.seed): seed_result.trace.digest
                for seed_result in result.seed_results
                if seed_result.trace.first_steps
            },
            {
                str(seed_result.seed): seed_result.predictions_digest
                for seed_result in result.seed_results
            },
            result.seed_results[0].rows_drawn if result.seed_results else {},
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def comparison_group(self) -> tuple[str, str, str]:
        """Suite, task and model: cases that share them are compared."""
        return self.suite, self.identity["task"], self.identity["model"]

    @property
    def varied_settings(self) -> dict[str, object]:
        """Method, shots and options. A change of one must change the computation.

        The engine is left out, because engines should compute the same.
        """
        options = {
            name: value for name, value in self.identity["options"].items() if name != "engine"
        }
        return {"method": self.identity["method"], "shots": self.identity["shots"], **options}


@dataclass(frozen=True)
class Finding:
    """Cases of a suite that are refused, and the reason."""

    suite: str
    cases: tuple[str, ...]
    sentence: str


def _groups(summaries: Iterable[CaseSummary]) -> Iterator[list[CaseSummary]]:
    for _, group in groupby(
        sorted(summaries, key=lambda case: (case.comparison_group, case.id)),
        key=lambda case: case.comparison_group,
    ):
        yield list(group)


def audit_across_cases(summaries: Iterable[CaseSummary]) -> list[Finding]:
    """Return the refusals of pairs of cases, from the summaries of one device."""
    return [
        finding
        for group in _groups(summaries)
        for first, second in combinations(group, 2)
        for finding in (*_check_sweep(first, second), *_check_budgets(first, second))
    ]


def _count_equal_seeds(first: dict[str, str], second: dict[str, str]) -> int:
    """Count the seeds that both have if all their digests are equal; else return 0."""
    shared = first.keys() & second.keys()
    return len(shared) if all(first[seed] == second[seed] for seed in shared) else 0


def _check_sweep(first: CaseSummary, second: CaseSummary) -> Iterator[Finding]:
    """Refuse cases with different settings that compute or predict the same.

    Two good models may predict the same rows with one seed by chance, but not with
    `MIN_BASELINE_SEEDS`.
    """
    if first.varied_settings == second.varied_settings:
        return
    if _count_equal_seeds(first.traces, second.traces):
        equality = "trained alike to the last bit"
    elif (
        first.judge_accuracy
        and second.judge_accuracy
        and (count := _count_equal_seeds(first.predictions, second.predictions))
        >= MIN_BASELINE_SEEDS
    ):
        equality = f"predicted the same in every row of {count} seeds"
    else:
        return
    yield Finding(
        first.suite,
        (first.id, second.id),
        f"a sweep that changes nothing: expected {_describe_difference(first, second)} "
        f"to tell {first.id} and {second.id} apart, they {equality}: "
        "check that the setting arrives, and that the learning rate moves anything",
    )


def _describe_difference(first: CaseSummary, second: CaseSummary) -> str:
    """Return the settings that differ, such as "r 2 -> 8"."""
    before, after = first.varied_settings, second.varied_settings
    names = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    # An option that only one case sets has the method's value in the other.
    default = "the method's own"
    return ", ".join(
        f"{name} {before.get(name, default)} -> {after.get(name, default)}" for name in names
    )


def _check_budgets(first: CaseSummary, second: CaseSummary) -> Iterator[Finding]:
    """Refuse cases with equal shots that got unequal numbers of the task's labelled rows."""
    task, shots = first.identity["task"], first.identity["shots"]
    first_rows, second_rows = first.rows_drawn.get(task), second.rows_drawn.get(task)
    if (
        shots == second.identity["shots"]
        and first_rows is not None
        and second_rows is not None
        and first_rows != second_rows
    ):
        yield Finding(
            first.suite,
            (first.id, second.id),
            f"unequal budgets: expected as many rows of {task} to learn from with {shots} shots "
            f"each, {first.id} had {first_rows}, {second.id} had {second_rows}: "
            "draw both with context.support",
        )


def budget_notes(summaries: Iterable[CaseSummary]) -> list[str]:
    """Return a note for each case that learned from rows of other tasks, for the table's notes."""
    notes = []
    for group in _groups(summaries):
        for case in group:
            if extra := [
                f"{rows} rows of {task}"
                for task, rows in sorted(case.rows_drawn.items())
                if task != case.identity["task"]
            ]:
                notes.append(f"{case.id} also learned from {', '.join(extra)}")
    return notes
