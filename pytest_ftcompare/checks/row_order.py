"""The order of training rows: what must hold of it for any seed, without a baseline and without training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from pytest_ftcompare.training import train
from pytest_ftcompare.training.prepare import PreparedCase

ROWS, BATCH, EPOCHS = 21, 4, 3  # the last batch of an epoch is short


def _epochs(updates: list[list[int]]) -> list[list[int]]:
    """The rows of each epoch in their order, if updates are cut as they should be."""
    count = -(-ROWS // BATCH)
    return [
        [row for update in updates[at : at + count] for row in update]
        for at in range(0, len(updates), count)
    ]


def check_row_order(prepared: PreparedCase) -> Iterator[str]:
    """Every epoch has each row once, in another order than the one before and than another seed's."""
    recipe = replace(prepared.method.recipe, batch_size=BATCH, epochs=EPOCHS)
    first, again, other = (list(train.batch_orders(ROWS, recipe, seed)) for seed in (0, 0, 1))
    epochs = _epochs(first)
    if first != again:
        yield "a seed's order of rows must repeat, it does not"
    if len(epochs) != EPOCHS or any(sorted(one) != list(range(ROWS)) for one in epochs):
        yield f"each of {EPOCHS} epochs must have each of {ROWS} rows once, it does not"
    elif any(one == two for one, two in pairwise(epochs)) or epochs[0] == sorted(epochs[0]):
        yield "each epoch must have an order of its own, it does not"
    if first == other:
        yield "each seed must have an order of its own, seeds 0 and 1 have the same"
