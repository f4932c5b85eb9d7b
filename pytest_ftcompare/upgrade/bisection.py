"""Search a history for the entry, and two environments for the package, that made a case fail.

`bisect_command.py` makes the histories and prints the answer; `gate_run.py` runs the cases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pytest_ftcompare.environments.checkout import CheckoutError
from pytest_ftcompare.environments.lock import Lock
from pytest_ftcompare.environments.requirements import RequirementError
from pytest_ftcompare.upgrade.gate_run import GateRuns, RunResult, Sign
from pytest_ftcompare.upgrade.history import Entry
from pytest_ftcompare.upgrade.search import Found, State, bisect, sweep
from pytest_ftcompare.upgrade.session import TryError


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
        except (RequirementError, CheckoutError) as error:
            result = RunResult([], str(error))
        self.results[number] = result
        return result

    def state(self, number: int) -> State:
        """Run an entry, say what it gave, and return its state."""
        assert self.searched is not None
        result = self.result(number)
        state = result.state(self.searched)
        reason = f" ({result.reason})" if result.reason else ""
        self.runs.say(f"{self.labels[number]}: {state}{reason}")
        return state

    def verify_ends(self) -> None:
        """Run both ends, and take the failure of the bad one as what is searched."""
        if len(self.labels) < 2:
            raise TryError(f"expected two different ends, both are {self.labels[0]}")
        self.runs.make_baselines(self.entry(0))
        first, last = self.result(0), self.result(len(self.labels) - 1)
        for label, result in ((self.labels[0], first), (self.labels[-1], last)):
            if result.skipped:
                raise TryError(f"{label} cannot be tried: {result.skipped}")
        if first.reason:
            raise TryError(
                f"expected cases that pass in {self.labels[0]}, against their own results "
                f"{first.reason}"
            )
        if not last.signs:
            raise TryError(
                f"expected a case that fails in {self.labels[-1]}, "
                f"{last.unsettled or 'all pass'}: choose the failing case after --, another bad "
                "end, or --all-seeds"
            )
        self.searched = last.signs[0]
        self.runs.say(f"{self.labels[-1]}: bad ({self.searched})")

    def search(self, *, every: bool) -> Found:
        """Verify both ends and search between them."""
        self.verify_ends()
        found = (sweep if every else bisect)(len(self.labels), self.state)
        if found.first_bad - found.last_good == len(self.labels) - 1 > 1:
            reason = self.results[found.untried[0]].reason
            raise TryError(f"nothing between both ends tells them apart: {reason}")
        return found


def find_package(runs: GateRuns, good: Lock, bad: Lock) -> str:
    """Return the one package whose version decides, tried from both ends.

    Raise `TryError` if no single package does, or if too little could be tried to say so.
    """
    ends = [Entry("the good file", good), Entry("the bad file", bad)]
    pair = Bisection(runs, [end.label for end in ends], ends.__getitem__)
    pair.verify_ends()
    mends, breaks, untried = set[str](), set[str](), set[str]()
    for name in (move.name for move in good.moves_to(bad)):
        for end, other, decided, wanted in (
            (bad, good, mends, "good"),
            (good, bad, breaks, "bad"),
        ):
            state = _state_with(runs, end, other, name, pair.searched)
            if state == wanted:
                decided.add(name)
            elif state in ("skipped", "other"):
                untried.add(name)
    if len(both := mends & breaks) == 1:
        return both.pop()
    tried = f"; {_join(untried)} could not be tried alone" if untried else ""
    raise TryError(
        "no single package decides: changed back alone, the bad end passes with "
        f"{_join(mends)}; changed alone, the good end fails with {_join(breaks)}{tried}"
    )


def _state_with(runs: GateRuns, end: Lock, other: Lock, name: str, searched: Sign | None) -> State:
    """Return the state of an end that has one package as the other end has it."""
    assert searched is not None
    if name not in other.lines:
        return "skipped"
    lock = end.overlaid({name: other.lines[name]})
    label = f"the end with {lock.lines[name]}"
    result = runs.run(Entry(label, lock))
    state = result.state(searched)
    runs.say(f"{label}: {state}{f' ({result.reason})' if result.reason else ''}")
    return state


def _join(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
