"""Find the runs at which a metric's level changed. `series.py` calls it.

Runs that compute the same bit for bit repeat their scores and counts, so such a series is constant,
and any move is a change of level. Times, and scores of machines that do not repeat bits, are noisy:
Hampel's filter replaces outliers, then PELT (Killick, Fearnhead and Eckley 2012, arXiv:1101.1438,
library ruptures) finds the levels, for squared errors in units of the noise. docs/history.md has
both error rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log, sqrt

# A series is constant if at most one of so many steps between runs moves it (chosen). Raising it
# treats fewer series as constant.
STEPS_PER_MOVE = 4
# Fewest values of a noisy series (chosen). Raising it reports nothing on longer series.
MIN_VALUES = 8
# Fewest values of a level of a noisy series (chosen). Raising it misses shorter levels.
MIN_LEVEL = 3
# Hampel's filter (chosen): values in the window around each value, and SDs from their median.
# Raising the limit keeps more outliers.
HAMPEL_WINDOW = 7
HAMPEL_LIMIT = 3.0
# Price of a level, in squared SDs: LEVEL_PENALTY log n (1 + SHORT_PENALTY / n) for n values. BIC
# has the same form. Chosen; docs/history.md has the error rates. Raising either finds fewer levels.
LEVEL_PENALTY = 5.0
SHORT_PENALTY = 10.0
# SD of normal noise for a median absolute step of 1: the MAD's factor, for a difference of two.
SD_PER_STEP = 1.4826 / sqrt(2)


def find_changes(values: Sequence[float], accepted: Sequence[bool] = ()) -> list[int]:
    """Return the indices at which a new level begins, in order.

    `accepted` has a flag for each value. In a noisy series a level that begins next to an accepted
    run is moved to that run.
    """
    moves = [index for index in range(1, len(values)) if values[index] != values[index - 1]]
    if STEPS_PER_MOVE * len(moves) < len(values):
        return moves
    if len(values) < MIN_VALUES:
        return []
    return [_nearest_accepted(change, accepted) for change in _noisy_changes(values)]


def accepted_changes(changes: Sequence[int], accepted: Sequence[bool]) -> list[int]:
    """Return the changes during whose level a run was accepted as the case's baseline."""
    return [start for start, end in pairwise([*changes, len(accepted)]) if any(accepted[start:end])]


def _nearest_accepted(change: int, accepted: Sequence[bool]) -> int:
    return next(
        (
            index
            for index in (change, change - 1, change + 1)
            if 0 < index < len(accepted) and accepted[index]
        ),
        change,
    )


def _noisy_changes(values: Sequence[float]) -> list[int]:
    # Here, because both take seconds to import and most series are constant.
    import numpy as np
    import ruptures

    series = np.asarray(values, dtype=float)
    # Steps and not values, because a change of level adds only one large step.
    steps = np.abs(np.diff(series))
    noise = SD_PER_STEP * float(np.median(steps[steps > 0]))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(series, HAMPEL_WINDOW // 2, mode="edge"), HAMPEL_WINDOW
    )
    medians = np.median(windows, axis=1)
    outliers = np.abs(series - medians) > HAMPEL_LIMIT * noise
    filtered = np.where(outliers, medians, series) / noise
    count = len(values)
    penalty = LEVEL_PENALTY * log(count) * (1 + SHORT_PENALTY / count)
    search = ruptures.KernelCPD(kernel="linear", min_size=MIN_LEVEL).fit(filtered.reshape(-1, 1))
    ends: list[int] = search.predict(pen=penalty)
    # The last end is the series' own.
    return ends[:-1]
