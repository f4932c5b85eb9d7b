"""Prefix tuning through peft: trained keys and values before those of the text, in every layer.

Li and Liang 2021 (arXiv:2101.00190): [K; V] = MLP(P) for `length` positions, where the MLP is there for stable training only
and what is saved is its output. In an encoder-decoder model, encoder and decoder each get a prefix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .base import Recipe
from .through_peft import ThroughPeft

if TYPE_CHECKING:
    from torch import nn


class PrefixTuning(ThroughPeft):
    name = "prefix_tuning"
    mergeable = False
    base_at_start = False
    reparametrised: ClassVar[bool] = True
    recipes = {
        "pocket": Recipe(lr=1e-2, epochs=20, options={"length": 10, "hidden": 160}),
        "paper": Recipe(lr=5e-4, epochs=40, batch=32, options={"length": 20, "hidden": 512}),
    }

    @property
    def reserved(self) -> int:
        return self.count("length")

    def config(self, model: nn.Module) -> Any:
        from peft import PrefixTuningConfig

        mlp: dict[str, Any] = (
            {"prefix_projection": True, "encoder_hidden_size": self.count("hidden")} if self.reparametrised else {}
        )
        return PrefixTuningConfig(num_virtual_tokens=self.count("length"), **mlp)


METHODS = (PrefixTuning,)
