"""Where a metric's level changed over runs: at any move of a series that stands still, by PELT in one that is noisy.

Runs that compute the same bit for bit repeat their scores and counts exactly, so a series of them stands still, and any move is
a change of level, be it the last value's. Times, and scores of machines that do not repeat bits, are noisy: their outliers
are replaced (Hampel's filter), then the levels are found that PELT (Killick, Fearnhead and Eckley 2012, arXiv:1101.1438; the
library ruptures) says explain the values best, for squared errors in units of the noise. docs/history.md has how often both
are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log, sqrt

STILL = 4  # of the steps from run to run, at most one in so many moves a series that stands still
FEWEST = 8  # values of a noisy series without which nothing is said of it
LEVEL = 3  # fewest values of a level of a noisy series
WINDOW, OUTLYING = (
    7,
    3.0,
)  # Hampel's filter: values around one, and SDs from their median that make it an outlier
PENALTY, SHORT = (
    5.0,
    10.0,
)  # of a level: PENALTY log n, as BIC's but stricter, and more where n values tell little of the noise
SD = 1.4826 / sqrt(2)  # of normal noise, for the median size of a step


def find(values: Sequence[float], accepted: Sequence[bool] = ()) -> list[int]:
    """The indices at which a new level begins, in order.

    In a noisy series a level is put at an accepted run (`accepted`, one for each value) if that is next to where it was found.
    """
    moves = [index for index in range(1, len(values)) if values[index] != values[index - 1]]
    if STILL * len(moves) < len(values):
        return moves
    if len(values) < FEWEST:
        return []
    return [_nearest(one, accepted) for one in _levels(values)]


def explained(changes: Sequence[int], accepted: Sequence[bool]) -> list[int]:
    """The changes of which a run was accepted as its case's baseline while the new level lasted: not the unexplained ones."""
    return [start for start, end in pairwise([*changes, len(accepted)]) if any(accepted[start:end])]


def _nearest(change: int, accepted: Sequence[bool]) -> int:
    return next(
        (
            one
            for one in (change, change - 1, change + 1)
            if 0 < one < len(accepted) and accepted[one]
        ),
        change,
    )


def _levels(values: Sequence[float]) -> list[int]:
    import numpy as np  # numpy and ruptures take seconds to import, and most series stand still
    import ruptures

    series = np.asarray(values, dtype=float)
    steps = np.abs(np.diff(series))
    noise = SD * float(
        np.median(steps[steps > 0])
    )  # steps, not values: those of a change of level are few
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(series, WINDOW // 2, mode="edge"), WINDOW
    )
    middle = np.median(around, axis=1)
    filtered = np.where(np.abs(series - middle) > OUTLYING * noise, middle, series) / noise
    count = len(values)
    penalty = PENALTY * log(count) * (1 + SHORT / count)
    search = ruptures.KernelCPD(kernel="linear", min_size=LEVEL).fit(filtered.reshape(-1, 1))
    found: list[int] = search.predict(pen=penalty)
    return found[:-1]  # the last is the end
