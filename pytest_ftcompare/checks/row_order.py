"""Check the order of training rows, without a baseline or training. `invariants.py` calls it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from pytest_ftcompare.training import train
from pytest_ftcompare.training.prepare import PreparedCase

ROWS, BATCH, EPOCHS = 21, 4, 3  # the last batch of an epoch is short


def _epochs(updates: list[list[int]]) -> list[list[int]]:
    """Join updates to epochs: the row numbers of each epoch in order."""
    count = -(-ROWS // BATCH)
    return [
        [row for update in updates[start : start + count] for row in update]
        for start in range(0, len(updates), count)
    ]


def check_row_order(prepared: PreparedCase) -> Iterator[str]:
    """Check that each epoch has each row once, and that orders differ by epoch and by seed."""
    recipe = replace(prepared.method.recipe, batch_size=BATCH, epochs=EPOCHS)
    first, again, other = (list(train.batch_orders(ROWS, recipe, seed)) for seed in (0, 0, 1))
    epochs = _epochs(first)
    if first != again:
        yield "a seed's order of rows must repeat, it does not"
    if len(epochs) != EPOCHS or any(sorted(epoch) != list(range(ROWS)) for epoch in epochs):
        yield f"each of {EPOCHS} epochs must have each of {ROWS} rows once, it does not"
    elif any(epoch == following for epoch, following in pairwise(epochs)) or epochs[0] == sorted(
        epochs[0]
    ):
        yield "each epoch must have an order of its own, it does not"
    if first == other:
        yield "each seed must have an order of its own, seeds 0 and 1 have the same"
