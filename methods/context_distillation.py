"""Context distillation: learn, without a context, what the base model answers with one.

Askell et al. 2021 (arXiv:2112.00861), Snell et al. 2022 (arXiv:2209.15189): minimise
KL(p(y | context, x) || p(y | x)) over the seed's training rows x. The base model is the teacher.
Its context is the task's instruction (option `instruction`) and `demonstrations` solved examples
per class from the *other* training rows. Both distributions are over the verbalizers, so the
targets sum to one. The label of x itself is not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Method, Recipe, SeedContext
from .icl import with_demonstrations

if TYPE_CHECKING:
    import torch

    from pytest_ftcompare.tasks import Example


class ContextDistillation(Method):
    name = "context_distillation"
    output_modes = ("pattern", "head")
    recipes = {
        "pocket": Recipe(lr=0.0003, epochs=10, options={"demonstrations": 2, "instruction": False}),
        "paper": Recipe(
            lr=1e-5, epochs=40, batch_size=32, options={"demonstrations": 16, "instruction": True}
        ),
    }

    def teacher_prompt(self, context: SeedContext, example: Example) -> str:
        """Return the prompt that the teacher reads for `example`."""
        others = [row for row in context.support if row is not example]
        question = context.task.pattern.format(**example.fields)
        prompt = with_demonstrations(
            context.task,
            question,
            others,
            self.int_option("demonstrations", minimum=0),
            context.fits,
        )
        longer = f"{context.task.instruction}\n {prompt}"
        return longer if self.option("instruction") and context.fits(longer) else prompt

    def targets(self, context: SeedContext) -> torch.Tensor:
        """Return the teacher's probabilities, (rows, classes)."""
        return context.base_logits(
            [self.teacher_prompt(context, example) for example in context.support]
        ).softmax(1)

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import kl_div

        return kl_div(logits.float().log_softmax(1), targets, reduction="batchmean")


METHODS = (ContextDistillation,)
