"""Audits across the cases of a suite: a sweep that changes nothing, cases that learned from unequal numbers of rows.

They need the cases side by side, so they run where all results of a session meet. A case comes there as a `Summary`, which
is small and JSON; a `Finding` refuses every case that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations, groupby
from typing import Any

from pytest_ftcompare.compare.audit import SEEDS
from pytest_ftcompare.results.result import Json, Result


@dataclass(frozen=True)
class CaseSummary:
    """What the audits need of a case: `traces` and `predictions` are digests by seed (as text, for JSON's sake), the former
    only where something trained; `drawn` is the number of rows it was given to learn from, by task."""

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
                str(one.seed): one.trace.digest
                for one in result.seed_results
                if one.trace.first_steps
            },
            {str(one.seed): one.predictions_digest for one in result.seed_results},
            result.seed_results[0].rows_drawn if result.seed_results else {},
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def compared(self) -> tuple[str, str, str]:
        """What cases share whose rows are the same, and which a suite shows side by side."""
        return self.suite, self.identity["task"], self.identity["model"]

    @property
    def settings(self) -> dict[str, object]:
        """What a suite's table varies in cases on the same rows, and should change what is computed: engines should not."""
        options = {
            name: value for name, value in self.identity["options"].items() if name != "engine"
        }
        return {"method": self.identity["method"], "shots": self.identity["shots"], **options}


@dataclass(frozen=True)
class Finding:
    """Cases of a suite whose results are refused, and why."""

    suite: str
    cases: tuple[str, ...]
    sentence: str


def _groups(summaries: Iterable[CaseSummary]) -> Iterator[list[CaseSummary]]:
    for _, group in groupby(
        sorted(summaries, key=lambda one: (one.compared, one.id)), key=lambda one: one.compared
    ):
        yield list(group)


def across(summaries: Iterable[CaseSummary]) -> list[Finding]:
    """What cannot be of cases that a suite compares, the summaries of one device at hand."""
    return [
        finding
        for group in _groups(summaries)
        for first, second in combinations(group, 2)
        for finding in (*_unmoved(first, second), *_unequal(first, second))
    ]


def _alike(first: dict[str, str], second: dict[str, str]) -> int:
    """How many seeds have the same digest in both; 0 where any that both have differs."""
    shared = first.keys() & second.keys()
    return len(shared) if all(first[seed] == second[seed] for seed in shared) else 0


def _unmoved(first: CaseSummary, second: CaseSummary) -> Iterator[Finding]:
    """Another method, number of shots or option must change what is computed, and what is predicted: two models may agree on
    every row of one seed by chance, of `SEEDS` they do not."""
    if first.settings == second.settings:
        return
    if _alike(first.traces, second.traces):
        what = "trained alike to the last bit"
    elif (
        first.judge_accuracy
        and second.judge_accuracy
        and (count := _alike(first.predictions, second.predictions)) >= SEEDS
    ):
        what = f"predicted the same in every row of {count} seeds"
    else:
        return
    yield Finding(
        first.suite,
        (first.id, second.id),
        f"a sweep that changes nothing: expected {_difference(first, second)} to tell {first.id} and {second.id} apart, they "
        f"{what}: look whether the setting arrives, and whether the learning rate moves anything",
    )


def _difference(first: CaseSummary, second: CaseSummary) -> str:
    """ "r 2 -> 8"; an option that only one of them sets is the method's own in the other."""
    before, after = first.settings, second.settings
    names = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    own = "the method's own"
    return ", ".join(f"{name} {before.get(name, own)} -> {after.get(name, own)}" for name in names)


def _unequal(first: CaseSummary, second: CaseSummary) -> Iterator[Finding]:
    """With the same number of shots every method gets the same number of labelled rows of the task."""
    task, shots = first.identity["task"], first.identity["shots"]
    rows, others = first.rows_drawn.get(task), second.rows_drawn.get(task)
    if (
        shots == second.identity["shots"]
        and rows is not None
        and others is not None
        and rows != others
    ):
        yield Finding(
            first.suite,
            (first.id, second.id),
            f"unequal budgets: expected as many rows of {task} to learn from with {shots} shots each, {first.id} had {rows}, "
            f"{second.id} had {others}: draw both with trial.support",
        )


def budgets(summaries: Iterable[CaseSummary]) -> list[str]:
    """For the notes of a table: what a case learned from besides the sample that the others have, too."""
    notes = []
    for group in _groups(summaries):
        for one in group:
            if more := [
                f"{rows} rows of {task}"
                for task, rows in sorted(one.rows_drawn.items())
                if task != one.identity["task"]
            ]:
                notes.append(f"{one.id} also learned from {', '.join(more)}")
    return notes
