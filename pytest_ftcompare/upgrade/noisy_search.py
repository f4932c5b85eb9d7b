"""Search an ordered history for the entry that moved a measured value, with a posterior.

Times and scores are noisy, so one run of an entry does not decide. The model has one change:
entries before it measure 0, entries from it on a common unknown change. Measurements are normal.
Each entry may also differ by itself, as other changes between releases move the value a little. The
prior is uniform over the entries; the common change has a flat prior and is integrated out. Known
libraries for noisy bisection take "fails" or "passes" as evidence, which loses how far a value is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

# Posterior probability at which a search ends and a state is told. Chosen: the usual 95 %. Raising
# it takes more runs and blames fewer entries that are good.
CONFIDENCE = 0.95
# SD of what an entry differs by itself, as a share of the change that is searched. Chosen. Raising
# it trusts a single entry less.
OWN_SHARE = 0.15
# Times that an entry is measured, at most. Chosen: its own deviation stays, however often it is
# measured. Raising it takes more runs where the noise is large.
MAX_REPEATS = 4
# Standard errors by which a measurement may miss what the answer says of its entry. Chosen.
# Raising it tells fewer entries that do not fit.
FIT_LIMIT = 3.0


class Measurement(NamedTuple):
    """A change against the good end, positive if worse, and its standard error, in one unit."""

    change: float
    error: float


@dataclass(frozen=True)
class Located:
    """The answer: the change lies after `last_good` and at most at `first_bad`.

    `probability` is the posterior's, `measured` has each entry's mean. `unfit` are entries whose
    mean does not fit the answer: the history has more than one change.
    """

    last_good: int
    first_bad: int
    probability: float
    measured: dict[int, Measurement]
    unfit: list[int]

    @property
    def settled(self) -> bool:
        return self.probability >= CONFIDENCE


@dataclass
class ChangePoint:
    """The posterior of where the change is among `count` entries; the first is good, the last bad.

    `skipped` are entries that cannot be measured, `exhausted` those that cannot be measured again.
    """

    count: int
    measurements: dict[int, list[Measurement]] = field(default_factory=dict)
    skipped: set[int] = field(default_factory=set)
    exhausted: set[int] = field(default_factory=set)

    def add(self, number: int, measurement: Measurement) -> None:
        self.measurements.setdefault(number, []).append(measurement)

    def means(self) -> dict[int, Measurement]:
        """Return each entry's mean measurement; its error includes what it differs by itself."""
        own = OWN_SHARE * abs(combine(self.measurements[self.count - 1]).change)
        return {
            number: Measurement(mean.change, math.hypot(mean.error, own))
            for number, mean in (
                (number, combine(values)) for number, values in self.measurements.items()
            )
        }

    def probabilities(self) -> list[float]:
        """Return the probability that the change is at each entry; that of the first is 0."""
        means = self.means()
        logs = [_log_evidence(means, first_bad) for first_bad in range(1, self.count)]
        highest = max(logs)
        weights = [math.exp(value - highest) for value in logs]
        return [0.0, *(weight / sum(weights) for weight in weights)]

    def locate(self) -> Located:
        """Return the most probable place, between neighbours that can be measured."""
        probabilities = self.probabilities()
        usable = [number for number in range(self.count) if number not in self.skipped]
        places = [
            (sum(probabilities[low + 1 : high + 1]), low, high) for low, high in pairwise(usable)
        ]
        probability, low, high = max(places)
        means = self.means()
        good, bad = Measurement(0.0, 0.0), means[self.count - 1]
        unfit = [
            number
            for number, mean in sorted(means.items())
            if not _fits(mean, bad if number >= high else good)
        ]
        return Located(low, high, probability, means, unfit)

    def next_entry(self, repeats: int) -> int | None:
        """Return the entry whose state is least certain, or None if nothing is left to measure."""
        probabilities = self.probabilities()
        below = [sum(probabilities[: number + 1]) for number in range(self.count)]
        candidates = [
            number
            for number in range(self.count)
            if number not in self.skipped | self.exhausted
            and len(self.measurements.get(number, ())) < repeats
            # A certain state tells nothing new.
            and 1e-3 < below[number] < 1 - 1e-3
        ]
        return min(candidates, key=lambda number: abs(below[number] - 0.5), default=None)


def _fits(mean: Measurement, state: Measurement) -> bool:
    """Check that an entry's mean is that of a state, within their errors."""
    return abs(mean.change - state.change) <= FIT_LIMIT * math.hypot(mean.error, state.error)


def combine(measurements: Sequence[Measurement]) -> Measurement:
    """Return the mean weighted by precision, and its standard error."""
    # An exact measurement has no error; any small one makes it outweigh the others.
    weights = [1 / max(value.error, 1e-9) ** 2 for value in measurements]
    total = sum(weights)
    mean = sum(weight * value.change for weight, value in zip(weights, measurements, strict=True))
    return Measurement(mean / total, total**-0.5)


def _log_evidence(means: dict[int, Measurement], first_bad: int) -> float:
    """Return the logarithm of the measurements' density if the change is at an entry."""
    bad = [mean for number, mean in means.items() if number >= first_bad]
    common = combine(bad)
    squares = sum(
        ((mean.change - (common.change if number >= first_bad else 0.0)) / mean.error) ** 2
        for number, mean in means.items()
    )
    return math.log(common.error) - squares / 2


def search(
    points: ChangePoint, measure: Callable[[int], Measurement | None], repeats: int
) -> Located:
    """Measure entries until the change is located, or nothing is left; both ends are measured.

    `measure` returns None for an entry that cannot be measured. `repeats` is the number of times
    that an entry may be measured: 1 where a repetition gives the same numbers.
    """
    while not (located := points.locate()).settled:
        number = points.next_entry(repeats)
        if number is None:
            return located
        measurement = measure(number)
        if measurement is None:
            (points.exhausted if number in points.measurements else points.skipped).add(number)
        else:
            points.add(number, measurement)
    return located


def probability_of_bad(measurement: Measurement, bad: Measurement) -> float:
    """Return the probability that an entry has the bad end's change; before it, both are equal."""
    error = math.hypot(measurement.error, bad.error, OWN_SHARE * bad.change)
    squares = [((measurement.change - change) / error) ** 2 for change in (0.0, bad.change)]
    # The exponent is limited, so that it does not overflow.
    return 1 / (1 + math.exp(min(max((squares[1] - squares[0]) / 2, -700.0), 700.0)))
