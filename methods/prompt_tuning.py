"""Prompt tuning with PEFT: `length` trained vectors before the text's embeddings.

Lester et al. 2021 (arXiv:2104.08691): length 20 to 100, lr 0.3, below full fine-tuning on small
models. In output mode `head` a head trains too. The vectors start as the embeddings of the training
rows' first tokens, because the paper found embeddings of real words to be the better start.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .base import Recipe, SeedContext, Stage
from .through_peft import VirtualTokens

if TYPE_CHECKING:
    from torch import nn


class PromptTuning(VirtualTokens):
    name = "prompt_tuning"
    output_modes = ("pattern", "head")
    recipes = {
        "pocket": Recipe(lr=0.001, epochs=20, options={"length": 10}),
        "paper": Recipe(lr=0.3, epochs=40, batch_size=32, options={"length": 20}),
    }

    def config(self, model: nn.Module) -> Any:
        from peft import PromptTuningConfig

        embeddings: Any = model.get_input_embeddings()  # type: ignore[operator]
        return PromptTuningConfig(
            num_virtual_tokens=self.int_option("length"), token_dim=embeddings.embedding_dim
        )

    def stages(self, model: nn.Module, context: SeedContext) -> Iterator[Stage]:
        from .layers.text_start import start_soft_tokens

        start_soft_tokens(model, self.int_option("length"), context)
        yield context.stage(self.recipe)


METHODS = (PromptTuning,)
