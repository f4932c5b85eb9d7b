"""Short training: train seed 0 of a case with few epochs and evaluate it on all test rows.

`gate/torch_case.py` calls it. It runs all code of the full training: every stage, warm-up and
decay, an epoch's short last batch, the last update. If nothing changed since the baseline and a
short training repeats the baseline's bit for bit, so would the full training (docs/statistics.md).
"""

from __future__ import annotations

from dataclasses import asdict, replace

from pytest_ftcompare.methods.base import MethodError, Stage
from pytest_ftcompare.results.result import digest
from pytest_ftcompare.training.model_kind import ModelError
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.run_seed import run_seed
from pytest_ftcompare.training.train import Progress, TrainingError

# Least updates of a stage, chosen: a warm-up over a tenth of them has one. Raising it costs time.
UPDATES = 10
# Least epochs of a stage, chosen: rows come in a second order, too. Raising it costs time.
EPOCHS = 2


def shorten(stage: Stage) -> Stage:
    """Return the stage with only as many epochs as `UPDATES` and `EPOCHS` need."""
    recipe = stage.recipe
    updates_per_epoch = -(-len(stage.rows) // recipe.batch_size)
    epochs = max(EPOCHS, -(-UPDATES // updates_per_epoch))
    return replace(stage, recipe=replace(recipe, epochs=min(epochs, recipe.epochs)))


def digest_of_short_training(prepared: PreparedCase, progress: Progress) -> str:
    """Return a digest of each update's loss and gradient norm, the predictions and the scores.

    Return "" if the method does not train, has no more epochs than the short training, or cannot
    train so few.
    """
    skipped_epochs = []

    def change(stage: Stage) -> Stage:
        short = shorten(stage)
        skipped_epochs.append(stage.recipe.epochs - short.recipe.epochs)
        return short

    try:
        seed_result = (
            run_seed(prepared, 0, progress, change=change) if prepared.method.trains else None
        )
    except (MethodError, ModelError, TrainingError):
        # The full training reports what is wrong, if anything is.
        return ""
    return digest(asdict(seed_result)) if seed_result is not None and any(skipped_epochs) else ""
