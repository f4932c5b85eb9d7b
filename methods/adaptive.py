"""Adaptive fine-tuning: language modelling on the task's unlabelled text, then the task.

Gururangan et al. 2020 (arXiv:2004.10964), task-adaptive pre-training. Every weight trains in both
stages. The first stage reads `texts` unlabelled training rows `passes` times at `text_lr`. It
continues a decoder's own objective, so the method needs a decoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from .base import Method, Recipe, SeedContext, Stage

if TYPE_CHECKING:
    from torch import nn


class Adaptive(Method):
    name = "adaptive"
    output_modes = ("head", "pattern")
    recipes = {
        "pocket": Recipe(
            lr=0.0005, epochs=20, options={"texts": 256, "text_lr": 0.0003, "passes": 3}
        ),
        "paper": Recipe(
            lr=1e-5,
            epochs=40,
            batch_size=32,
            options={"texts": 4000, "text_lr": 1e-5, "passes": 10},
        ),
    }

    def stages(self, model: nn.Module, context: SeedContext) -> Iterator[Stage]:
        recipe = replace(self.recipe, lr=self.option("text_lr"), epochs=self.int_option("passes"))
        yield context.text_stage(recipe, model, self.int_option("texts"))
        yield context.stage(self.recipe)


METHODS = (Adaptive,)
