"""In-context learning: solved examples in the prompt, no training.

Brown et al. 2020 (arXiv:2005.14165). Each test row gets its own balanced, shuffled draw of
`demonstrations` per class from the seed's training rows, one per line; fewer if the model's length
cannot hold them. The answer is the verbalizer with the highest logit.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .base import FitsModel, Method, Recipe

if TYPE_CHECKING:
    from pytest_ftcompare.tasks import Example, Task


def with_demonstrations(
    task: Task, question: str, support: Sequence[Example], count: int, fits: FitsModel
) -> str:
    """Return `question` after up to `count` solved examples of each class.

    The question seeds the generator that draws and orders the examples. Examples for which `fits`
    is false are left out.
    """
    rng = random.Random(f"demonstrations {question}")
    drawn: list[Example] = []
    for label in range(len(task.labels)):
        members = [example for example in support if example.label == label]
        drawn += rng.sample(members, min(count, len(members)))
    rng.shuffle(drawn)
    prompt = question
    for example in drawn:
        assert isinstance(example.label, int)
        longer = (
            f"{task.pattern.format(**example.fields)}{task.verbalizers[example.label]}\n {prompt}"
        )
        if fits(longer):
            prompt = longer
    return prompt


class Icl(Method):
    name = "icl"
    output_modes = ("pattern",)
    trains = False
    recipes = {
        "pocket": Recipe(lr=0.0, epochs=0, options={"demonstrations": 2}),
        "paper": Recipe(lr=0.0, epochs=0, options={"demonstrations": 16}),
    }

    def render(
        self, task: Task, example: Example, support: Sequence[Example], fits: FitsModel
    ) -> str:
        question = super().render(task, example, support, fits)
        return with_demonstrations(task, question, support, self.int_option("demonstrations"), fits)


METHODS = (Icl,)
