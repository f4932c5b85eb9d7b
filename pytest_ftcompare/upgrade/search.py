"""Search an ordered history for the first bad entry, where some entries cannot be tried.

`bisect_command.py` runs the gate for each entry; this file knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

# `other`: it fails in another way, so it says nothing of the failure that is searched.
State = Literal["good", "bad", "other", "skipped"]


@dataclass(frozen=True)
class Found:
    """The search's answer: numbers of entries, and what was tried.

    `untried` are entries between both that were skipped or failed in another way: one of them may
    be the first bad one. `contradictions` are entries that break the order good, bad.
    `probability` is that of a noisy search (noisy_search.py).
    """

    last_good: int
    first_bad: int
    states: dict[int, State] = field(default_factory=dict)
    probability: float = 1.0

    @property
    def untried(self) -> list[int]:
        between = range(self.last_good + 1, self.first_bad)
        return [number for number in between if number in self.states]

    @property
    def contradictions(self) -> list[int]:
        before = [n for n, state in self.states.items() if state == "bad" and n < self.last_good]
        after = [n for n, state in self.states.items() if state == "good" and n > self.first_bad]
        return sorted(before + after)


def bisect(count: int, run: Callable[[int], State]) -> Found:
    """Halve entries 0 (known good) to count - 1 (known bad); `run` returns an entry's state.

    The entry nearest to the middle that was not tried is next. The search ends when each entry
    between the last good and the first bad was tried.
    """
    low, high = 0, count - 1
    states: dict[int, State] = {low: "good", high: "bad"}
    while candidates := [n for n in range(low + 1, high) if n not in states]:
        middle = (low + high) / 2
        number = min(candidates, key=lambda candidate: abs(candidate - middle))
        states[number] = run(number)
        low = number if states[number] == "good" else low
        high = number if states[number] == "bad" else high
    return Found(low, high, states)


def sweep(count: int, run: Callable[[int], State], first: State = "good") -> Found | None:
    """Run every entry; the answer is the last change from good to bad before the end.

    The last entry is known to be bad, and the first to be `first`. Return None if no entry is good.
    """
    states: dict[int, State] = {0: first, count - 1: "bad"}
    for number in range(1, count - 1):
        states[number] = run(number)
    if "good" not in states.values():
        return None
    low = max(number for number, state in states.items() if state == "good")
    high = min(number for number, state in states.items() if state == "bad" and number > low)
    return Found(low, high, states)
