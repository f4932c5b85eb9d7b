"""Prefix tuning with PEFT: trained keys and values before those of the text, in every layer.

Li and Liang 2021 (arXiv:2101.00190): [K; V] = MLP(P) for `length` positions. The MLP only makes
training stable; the checkpoint holds its output. On a decoder, the prefix starts at the keys and
values of the training rows' first tokens (section 7.4). In an encoder-decoder model, encoder and
decoder each get a prefix.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from .base import OutputMode, Recipe, SeedContext, Stage
from .through_peft import VirtualTokens

if TYPE_CHECKING:
    from torch import nn


class PrefixTuning(VirtualTokens):
    name = "prefix_tuning"
    output_modes: ClassVar[tuple[OutputMode, ...]] = ("pattern", "head")
    reparametrised: ClassVar[bool] = True
    recipes = {
        "pocket": Recipe(lr=0.0003, epochs=20, options={"length": 10, "hidden": 160}),
        "paper": Recipe(lr=5e-4, epochs=40, batch_size=32, options={"length": 20, "hidden": 512}),
    }

    def config(self, model: nn.Module) -> Any:
        from peft import PrefixTuningConfig

        mlp: dict[str, Any] = {}
        if self.reparametrised:
            mlp = {"prefix_projection": True, "encoder_hidden_size": self.int_option("hidden")}
        return PrefixTuningConfig(num_virtual_tokens=self.int_option("length"), **mlp)

    def stages(self, model: nn.Module, context: SeedContext) -> Iterator[Stage]:
        from .layers.text_start import start_peft_prefix

        start_peft_prefix(model, self.int_option("length"), context)
        yield context.stage(self.recipe)


METHODS = (PrefixTuning,)
