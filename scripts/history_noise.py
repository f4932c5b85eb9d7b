"""How often a history sees a change of level where there is none, and where there is one: simulated series, seeded.

`python -m scripts.history_noise` prints the tables of docs/history.md in some minutes. A session's share of
noisy series is small: those of scores and counts stand still where runs repeat bit for bit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np

from pytest_ftcompare.report.history.change_points import find_changes

Draw = Callable[[np.random.Generator, int], np.ndarray]
LENGTHS = (8, 12, 20, 50, 200)
SHIFTS = (2.0, 3.0, 5.0)  # in SDs of the bulk of the noise
AFTER = (3, 5, 10, 20)  # runs since the shift
BEFORE = 30  # runs before it
SERIES = 2000


def normal(draws: np.random.Generator, count: int) -> np.ndarray:
    """What seeds do to scores, and quiet machines to times."""
    return draws.normal(size=count)


def heavy(draws: np.random.Generator, count: int) -> np.ndarray:
    """Student's t with three degrees of freedom."""
    return draws.standard_t(3, size=count)


def spikes(draws: np.random.Generator, count: int) -> np.ndarray:
    """One run in ten disturbed, by eight SDs on average, always to the slow side."""
    return draws.normal(size=count) + (draws.random(count) < 0.1) * draws.exponential(8, size=count)


def skewed(draws: np.random.Generator, count: int) -> np.ndarray:
    """Lognormal with a sigma of 0.8."""
    return np.exp(0.8 * draws.normal(size=count))


def coarse(draws: np.random.Generator, count: int) -> np.ndarray:
    """Rounded to half an SD, as an accuracy over few rows is: one step in five is none."""
    return np.round(2 * draws.normal(size=count)) / 2


def wandering(draws: np.random.Generator, count: int) -> np.ndarray:
    """Runs in a row resemble each other (an autocorrelation of 0.3), as those of one machine's week do."""
    values = draws.normal(size=count)
    for index in range(1, count):
        values[index] += 0.3 * values[index - 1]
    return values


NOISES: tuple[Draw, ...] = (normal, heavy, spikes, skewed, coarse, wandering)


def alarms(noise: Draw, length: int, series: int = SERIES, seed: int = 0) -> float:
    """The share of series without a change in which one is seen."""
    draws = np.random.default_rng(seed)
    return sum(bool(find_changes(noise(draws, length).tolist())) for _ in range(series)) / series


def detections(noise: Draw, shift: float, after: int, series: int = SERIES, seed: int = 0) -> float:
    """The share of series whose level rose `after` runs ago in which that is seen, at that run or one beside it."""
    draws = np.random.default_rng(seed)
    step = np.repeat((0.0, shift), (BEFORE, after))
    found = (find_changes((noise(draws, BEFORE + after) + step).tolist()) for _ in range(series))
    return sum(any(abs(one - BEFORE) <= 1 for one in each) for each in found) / series


def main(arguments: Sequence[str]) -> None:
    series = int(arguments[0]) if arguments else SERIES
    print(
        "| series with a false alarm, of | "
        + " | ".join(f"{length} runs" for length in LENGTHS)
        + " |"
    )
    print("| --- |" + " --- |" * len(LENGTHS))
    for noise in NOISES:
        print(
            f"| {noise.__name__} | "
            + " | ".join(f"{alarms(noise, length, series):.1%}" for length in LENGTHS)
            + " |"
        )
    print()
    print("| shift seen after | " + " | ".join(f"{after} runs" for after in AFTER) + " |")
    print("| --- |" + " --- |" * len(AFTER))
    for noise in (normal, spikes):
        for shift in SHIFTS:
            rates = " | ".join(f"{detections(noise, shift, after, series):.0%}" for after in AFTER)
            print(f"| {noise.__name__}, {shift:.0f} SD | {rates} |")


if __name__ == "__main__":
    main(sys.argv[1:])
