"""A short training: seed 0 of a case with few epochs, to its end, and evaluated on all test rows.

It goes through everything that the whole training goes through: every stage, both sides of the warm-up,
the short last batch of an epoch, the last update. Where nothing changed since a baseline was made and a
short training repeats the baseline's bit for bit, so would the whole one (docs/statistics.md).
"""

from __future__ import annotations

from dataclasses import asdict, replace

from pytest_ftcompare.methods.base import MethodError, Stage
from pytest_ftcompare.results.result import digest
from pytest_ftcompare.training.model_kind import ModelError
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.run_seed import run_seed
from pytest_ftcompare.training.train import Progress, TrainingError

UPDATES = 10  # of each stage at least, so that a warm-up over a tenth of them has one
EPOCHS = 2  # at least, so that rows come in a second order, too


def shorten(stage: Stage) -> Stage:
    """The stage with as many epochs as `UPDATES` and `EPOCHS` ask for, no more than it has."""
    recipe = stage.recipe
    updates = -(-len(stage.rows) // recipe.batch_size)  # of an epoch
    epochs = max(EPOCHS, -(-UPDATES // updates))
    return replace(stage, recipe=replace(recipe, epochs=min(epochs, recipe.epochs)))


def digest_of_short_training(prepared: PreparedCase, progress: Progress) -> str:
    """Digest of every update's loss and gradient norm, of the predictions and the scores.

    "" for a method that does not train, has no more epochs than the short training, or cannot train so few.
    """
    saved = []

    def change(stage: Stage) -> Stage:
        short = shorten(stage)
        saved.append(stage.recipe.epochs - short.recipe.epochs)
        return short

    try:
        sample = run_seed(prepared, 0, progress, change=change) if prepared.method.trains else None
    except (
        MethodError,
        ModelError,
        TrainingError,
    ):  # the whole training says what is wrong, if anything is
        return ""
    return digest(asdict(sample)) if sample is not None and any(saved) else ""
