"""Search a history for the entry, and two environments for the package, that made a case fail.

`bisect_command.py` makes the histories and prints the answer; `gate_run.py` runs the cases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pytest_ftcompare.upgrade.gate_run import GateRuns, RunResult, Sign
from pytest_ftcompare.upgrade.history import Entry, HistoryError
from pytest_ftcompare.upgrade.lock import Lock
from pytest_ftcompare.upgrade.requirements import RequirementError
from pytest_ftcompare.upgrade.search import Found, State, bisect, sweep
from pytest_ftcompare.upgrade.try_upgrade import TryError


@dataclass
class Bisection:
    """A history, the failure that is searched, and what was run."""

    runs: GateRuns
    labels: Sequence[str]
    entry: Callable[[int], Entry]
    searched: Sign | None = None
    results: dict[int, RunResult] = field(default_factory=dict)

    def result(self, number: int) -> RunResult:
        """Return how an entry's cases fail; one that does not resolve is skipped."""
        try:
            result = self.runs.run(self.entry(number))
        except (RequirementError, HistoryError) as error:
            result = RunResult([], str(error))
        self.results[number] = result
        return result

    def state(self, number: int) -> State:
        """Run an entry, say what it gave, and return its state."""
        assert self.searched is not None
        result = self.result(number)
        state = result.state(self.searched)
        reason = result.skipped or (str(result.signs[0]) if result.signs else "")
        self.runs.say(f"{self.labels[number]}: {state}{f' ({reason})' if state != 'good' else ''}")
        return state

    def verify_ends(self) -> None:
        """Run both ends, and take the failure of the bad one as what is searched."""
        self.runs.make_baselines(self.entry(0))
        first, last = self.result(0), self.result(len(self.labels) - 1)
        for label, result in ((self.labels[0], first), (self.labels[-1], last)):
            if result.skipped:
                raise TryError(f"{label} cannot be tried: {result.skipped}")
        if first.signs:
            raise TryError(
                f"expected cases that pass in {self.labels[0]}, against their own results "
                f"{first.signs[0]}"
            )
        if not last.signs:
            raise TryError(
                f"expected a case that fails in {self.labels[-1]}, all pass: choose the failing "
                "case after --, or another bad end"
            )
        self.searched = last.signs[0]
        self.runs.say(f"{self.labels[-1]}: bad ({self.searched})")

    def search(self, *, every: bool) -> Found:
        """Verify both ends and search between them."""
        self.verify_ends()
        return (sweep if every else bisect)(len(self.labels), self.state)


def find_package(runs: GateRuns, good: Lock, bad: Lock) -> str:
    """Return the one package whose version decides, tried from both ends.

    Raise `TryError` if it takes several together, or none that could be tried.
    """
    moves = [move.name for move in good.moves_to(bad)]
    ends = [Entry("the good file", good), Entry("the bad file", bad)]
    pair = Bisection(runs, [end.label for end in ends], ends.__getitem__)
    pair.verify_ends()
    assert pair.searched is not None
    cures: set[str] = set()
    breaks: set[str] = set()
    for name in moves:
        for end, other, found, wanted in ((bad, good, cures, "good"), (good, bad, breaks, "bad")):
            if name not in other.lines:
                continue
            lock = end.overlaid({name: other.lines[name]})
            label = f"{'bad' if end is bad else 'good'} with {lock.lines[name]}"
            result = runs.run(Entry(label, lock))
            state = result.state(pair.searched)
            runs.say(f"{label}: {state}{f' ({result.skipped})' if result.skipped else ''}")
            if state == wanted:
                found.add(name)
    if len(both := cures & breaks) == 1:
        return both.pop()
    raise TryError(
        f"no single package decides: changed back alone, {_join(cures)} mends the bad end; "
        f"changed alone, {_join(breaks)} breaks the good one: packages act together"
    )


def _join(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
