"""Search a history for the entry, and two environments for the package, that made a test fail.

`bisect_command.py` makes the histories and tells the answer; `gate_run.py` runs the tests. An exact
failure is halved (search.py). Where only a score or a time got worse, runs repeat until a posterior
is sure (noisy_search.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pytest_ftcompare.environments.checkout import CheckoutError
from pytest_ftcompare.environments.lock import Lock
from pytest_ftcompare.environments.requirements import RequirementError
from pytest_ftcompare.upgrade import noisy_search, search
from pytest_ftcompare.upgrade.gate_run import GateRuns, RunResult, Sign
from pytest_ftcompare.upgrade.history import Entry
from pytest_ftcompare.upgrade.noisy_search import (
    CONFIDENCE,
    MAX_REPEATS,
    ChangePoint,
    Measurement,
    combine,
    probability_of_bad,
)
from pytest_ftcompare.upgrade.search import Found, State
from pytest_ftcompare.upgrade.session import TryError

# Standard errors that the bad end's change must have, so that a search for it can end. Chosen.
# Raising it refuses smaller changes.
MIN_SIGNAL = 4.0


@dataclass
class Bisection:
    """A history, the failure that is searched, and what was run."""

    runs: GateRuns
    labels: Sequence[str]
    entry: Callable[[int], Entry]
    searched: Sign | None = None
    results: dict[int, RunResult] = field(default_factory=dict)
    timed: bool = False  # a time is searched
    # If the failure is noisy: the bad end's change, and all that was measured.
    bad_change: Measurement | None = None
    points: ChangePoint = field(default_factory=lambda: ChangePoint(0))
    _repeats_done: dict[int, int] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return len(self.labels) - 1

    def result(self, number: int, repeat: int = 0) -> RunResult:
        """Return how an entry's tests fail; one that does not resolve is skipped."""
        try:
            result = self.run(self.entry(number), repeat)
        except (RequirementError, CheckoutError) as error:
            result = RunResult([], str(error))
        self.results[number] = result
        return result

    def run(self, entry: Entry, repeat: int = 0) -> RunResult:
        """Run an entry, timed if a time is searched."""
        return self.runs.time(entry, repeat) if self.timed else self.runs.run(entry)

    def state_of(self, result: Callable[[int], RunResult]) -> tuple[State, str]:
        """Return the state that a run's result gives, and why; a noisy one is repeated."""
        assert self.searched is not None
        first = result(0)
        if self.bad_change is None or first.skipped:
            return first.state(self.searched), first.reason
        measurements: list[Measurement] = []
        for repeat in range(self.repeats):
            measurement = result(repeat).measurement(self.searched)
            if measurement is None:
                continue
            measurements.append(measurement)
            change = combine(measurements)
            probability = probability_of_bad(change, self.bad_change)
            if max(probability, 1 - probability) >= CONFIDENCE:
                break
        if not measurements:
            return "skipped", first.unmeasured or first.reason or "it was not measured"
        told = self._describe(change)
        if probability >= CONFIDENCE:
            return "bad", told
        return ("good" if probability <= 1 - CONFIDENCE else "other"), told

    @property
    def repeats(self) -> int:
        """Times that an entry may run: a score repeats, so only a time is measured again."""
        return MAX_REPEATS if self.timed else 1

    def state(self, number: int) -> State:
        """Run an entry, say what it gave, and return its state."""
        state, reason = self.state_of(lambda repeat: self.result(number, repeat))
        self.runs.say(f"{self.labels[number]}: {state}{f' ({reason})' if reason else ''}")
        return state

    def measure(self, number: int) -> Measurement | None:
        """Measure an entry once more, say what it gave, and return its change."""
        assert self.searched is not None
        for _ in range(self.repeats):
            repeat = self._repeats_done.get(number, 0)
            self._repeats_done[number] = repeat + 1
            result = self.result(number, repeat)
            if measurement := result.measurement(self.searched):
                self.runs.say(f"{self.labels[number]}: {self._describe(measurement)}")
                return measurement
            if result.skipped:
                break
        reason = result.unmeasured or result.reason or "it was not measured"
        self.runs.say(f"{self.labels[number]}: skipped ({reason})")
        return None

    def _describe(self, measurement: Measurement) -> str:
        assert self.searched is not None
        if self.searched.level == "outcome":
            loss = f"{-measurement.change:+.1%} of the rows"
            return f"{self.searched.metric} {loss}, standard error {measurement.error:.1%}"
        # A cost's change is a logarithm.
        change = math.expm1(measurement.change)
        return f"{self.searched.metric} {change:+.1%}, standard error {measurement.error:.1%}"

    def verify_ends(self, *, sweep: bool = False) -> None:
        """Run both ends, and take the failure of the bad one as what is searched.

        With `sweep`, it may be an expected failure of both.
        """
        if len(self.labels) < 2:
            raise TryError(f"expected two different ends, both are {self.labels[0]}")
        self.runs.make_baselines()
        first, last = self._result_of_end(0), self._result_of_end(self.last)
        if first.reason:
            raise TryError(
                f"expected tests that pass in {self.labels[0]}, against their own results "
                f"{first.reason}"
            )
        if not last.signs:
            last = self.results[self.last] = _with_new_expected_failures(first, last)
        if sweep and not (last.signs or last.measured):
            # No case ran that could be timed. Entries between may lack what both ends have.
            last = self.results[self.last] = replace(last, signs=last.expected)
        if not last.signs:
            # Times need a second process and minutes, so they come last.
            self.timed = True
            last = self._result_of_end(self.last)
        if not last.signs:
            reason = last.unanswered or f"all pass{self._remark(last)}"
            raise TryError(
                f"expected a test that fails in {self.labels[-1]}, {reason}: choose the failing "
                "case after --, another bad end, or --all-seeds"
            )
        self.searched = last.signs[0]
        self.runs.say(f"{self.labels[-1]}: bad ({self.searched})")
        if self.searched.is_noisy:
            self._measure_ends()
        elif self.timed:
            raise TryError(
                f"expected a time that gets worse in {self.labels[-1]}, timed beside the good end "
                f"{self.searched}: repeat the command"
            )

    def _remark(self, result: RunResult) -> str:
        """Return what a user should know of a bad end that passes."""
        if any(-value.change > MIN_SIGNAL * value.error > 0 for value in result.measured.values()):
            return ", and it measures better: are the ends in the wrong order?"
        if result.unmeasured:
            return f", and its times were not compared: {result.unmeasured}"
        return ", also in time" if result.measured else ""

    def _result_of_end(self, number: int) -> RunResult:
        result = self.result(number)
        if result.skipped:
            raise TryError(f"{self.labels[number]} cannot be tried: {result.skipped}")
        return result

    def _measure_ends(self) -> None:
        """Measure both ends until the bad one's change stands out."""
        self.points = ChangePoint(len(self.labels))
        for number in (0, self.last):
            while True:
                measurement = self.measure(number)
                if measurement is None:
                    raise TryError(f"{self.labels[number]} cannot be measured: repeat the command")
                self.points.add(number, measurement)
                change = combine(self.points.measurements[number])
                stands_out = change.change > MIN_SIGNAL * change.error
                if number == 0 or stands_out or self._repeats_done[number] >= self.repeats:
                    break
        if not stands_out:
            raise TryError(
                f"expected a change in {self.labels[-1]} that stands out of its noise, "
                f"{self._describe(change)}: choose other cases"
                + ("" if self.timed else ", or --all-seeds")
            )
        self.bad_change = change

    def search(self, *, every: bool) -> Found:
        """Verify both ends and search between them."""
        self.verify_ends(sweep=every)
        if every:
            return self._sweep()
        if self.bad_change is None:
            found = search.bisect(len(self.labels), self.state)
        else:
            return self._search_noisy()
        if found.first_bad - found.last_good == self.last > 1:
            reason = self.results[found.untried[0]].reason
            raise TryError(f"nothing between both ends tells them apart: {reason}")
        return found

    def _sweep(self) -> Found:
        assert self.searched is not None
        first = "good" if self.bad_change is not None else self.results[0].state(self.searched)
        if first == "bad":
            self.runs.say(f"{self.labels[0]}: bad, too")
        found = search.sweep(len(self.labels), self.state, first)
        if found is None:
            raise TryError(f"each entry from {self.labels[0]} to {self.labels[-1]} has the failure")
        return found

    def _search_noisy(self) -> Found:
        located = noisy_search.search(self.points, self.measure, self.repeats)
        low, high = located.last_good, located.first_bad
        if not located.settled:
            raise TryError(
                f"the runs do not tell which entry it is: most likely {self.labels[high]}, "
                f"with a probability of {located.probability:.0%} where {CONFIDENCE:.0%} are "
                "needed: choose cases that show more of it, or --all-seeds"
            )
        states: dict[int, State] = dict.fromkeys(self.points.skipped, "skipped")
        states |= {n: "bad" if n >= high else "good" for n in located.measured}
        # Each of these measures neither nothing nor the whole change.
        states |= dict.fromkeys(located.unfit, "other")
        return Found(low, high, states, located.probability)


def _with_new_expected_failures(good: RunResult, bad: RunResult) -> RunResult:
    """Return the bad end's result with the expected failures that the good end has not."""
    new = [sign for sign in bad.expected if not any(sign.is_like(known) for known in good.expected)]
    return replace(bad, signs=new)


def find_package(runs: GateRuns, good: Lock, bad: Lock) -> str:
    """Return the one package whose version decides, tried from both ends.

    Raise `TryError` if no single package does, or if too little could be tried to say so.
    """
    ends = [Entry("the good end", good), Entry("the bad end", bad)]
    pair = Bisection(runs, [end.label for end in ends], ends.__getitem__)
    pair.verify_ends()
    mends, breaks, untried = set[str](), set[str](), set[str]()
    for name in (move.name for move in good.moves_to(bad)):
        for end, other, decided, wanted in (
            (bad, good, mends, "good"),
            (good, bad, breaks, "bad"),
        ):
            state = _state_with(pair, end, other, name)
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


def _state_with(pair: Bisection, end: Lock, other: Lock, name: str) -> State:
    """Return the state of an end that has one package as the other end has it."""
    if name not in other.lines:
        return "skipped"
    lock = end.overlaid({name: other.lines[name]})
    entry = Entry(f"the end with {lock.lines[name]}", lock)
    state, reason = pair.state_of(lambda repeat: pair.run(entry, repeat))
    pair.runs.say(f"{entry.label}: {state}{f' ({reason})' if reason else ''}")
    return state


def _join(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
