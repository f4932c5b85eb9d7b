"""Measure the error rates of change points on simulated series, seeded.

`python -m scripts.history_noise [SERIES]` prints the tables of docs/history.md in some minutes. Few
series of a session are noisy: scores and counts are constant if runs repeat bit for bit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np

from pytest_ftcompare.report.history.change_points import find_changes

Draw = Callable[[np.random.Generator, int], np.ndarray]
LENGTHS = (8, 12, 20, 50, 200)
SHIFTS = (2.0, 3.0, 5.0)  # in SDs of the noise without its outliers
AFTER = (3, 5, 10, 20)  # runs since the shift
BEFORE = 30  # runs before it
SERIES = 2000


def normal(draws: np.random.Generator, count: int) -> np.ndarray:
    """Normal noise, as of scores between seeds, and of times on a quiet machine."""
    return draws.normal(size=count)


def heavy(draws: np.random.Generator, count: int) -> np.ndarray:
    """Student's t noise with three degrees of freedom."""
    return draws.standard_t(3, size=count)


def spikes(draws: np.random.Generator, count: int) -> np.ndarray:
    """Normal noise with one run in ten disturbed, by eight SDs on average, always slower."""
    return draws.normal(size=count) + (draws.random(count) < 0.1) * draws.exponential(8, size=count)


def skewed(draws: np.random.Generator, count: int) -> np.ndarray:
    """Lognormal noise with a sigma of 0.8."""
    return np.exp(0.8 * draws.normal(size=count))


def coarse(draws: np.random.Generator, count: int) -> np.ndarray:
    """Noise rounded to half an SD, as an accuracy over few rows. One step in five is zero."""
    return np.round(2 * draws.normal(size=count)) / 2


def wandering(draws: np.random.Generator, count: int) -> np.ndarray:
    """Noise with an autocorrelation of 0.3, as of one machine over a week."""
    values = draws.normal(size=count)
    for index in range(1, count):
        values[index] += 0.3 * values[index - 1]
    return values


NOISES: tuple[Draw, ...] = (normal, heavy, spikes, skewed, coarse, wandering)


def alarms(noise: Draw, length: int, series: int = SERIES, seed: int = 0) -> float:
    """Return the share of series without a change in which a change is found."""
    draws = np.random.default_rng(seed)
    return sum(bool(find_changes(noise(draws, length).tolist())) for _ in range(series)) / series


def detections(noise: Draw, shift: float, after: int, series: int = SERIES, seed: int = 0) -> float:
    """Return the share of series whose level rose `after` runs ago in which the rise is found.

    A change counts if it is at that run or one run beside it.
    """
    draws = np.random.default_rng(seed)
    step = np.repeat((0.0, shift), (BEFORE, after))
    changes = (find_changes((noise(draws, BEFORE + after) + step).tolist()) for _ in range(series))
    return sum(any(abs(index - BEFORE) <= 1 for index in found) for found in changes) / series


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
