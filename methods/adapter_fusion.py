"""AdapterFusion: an adapter for each source task first, then attention over their outputs for the task at hand.

Pfeiffer et al. 2020 (arXiv:2005.00247). Stage 1 trains one Pfeiffer adapter for each of `sources`, on `source_shots` examples
a class (on the seed's own sample where the source is the task itself). Stage 2 freezes them and trains the fusion's query, key
and value, and the head: three width x width matrices in every layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from .base import Method, MethodError, Recipe, SeedContext, Stage

if TYPE_CHECKING:
    from torch import nn


LEAST_SOURCES = 3


class AdapterFusion(Method):
    name = "adapter_fusion"
    output_modes = ("head", "pattern")
    recipes = {
        "pocket": Recipe(
            lr=0.001,
            epochs=20,
            options={
                "size": 16,
                "sources": ("pocket_cola", "pocket_mnli", "pocket_sst"),
                "source_shots": 64,
                "source_lr": 5e-3,
                "source_epochs": 10,
            },
        ),
        "paper": Recipe(
            lr=5e-5,
            epochs=40,
            batch_size=32,
            options={
                "size": 48,
                "sources": ("cola", "mnli", "blimp"),
                "source_shots": 500,
                "source_lr": 1e-4,
                "source_epochs": 30,
            },
        ),
    }

    def apply(self, model: nn.Module) -> nn.Module:
        from .layers.architecture import places
        from .layers.bottleneck import add_after
        from .layers.fusion import Fusion
        from .layers.head import freeze

        sources = self.sources()
        if len(sources) < LEAST_SOURCES:
            named = ", ".join(sources) or "none"
            raise MethodError(
                f"adapter_fusion: expected at least {LEAST_SOURCES} different source tasks to fuse, got {named}"
            )
        found = places(model)
        freeze(model, self.output_mode)
        for layer in found.layers:
            add_after(
                found.of(layer, "ffn_out"), Fusion(found.width, self.int_option("size"), sources)
            )
        self._stage(model, None)
        return model

    def _stage(self, model: nn.Module, source: str | None) -> None:
        """Which of the added modules act and train: the adapter of one source, or the fusion of all."""
        from .layers.fusion import Fusion

        for module in model.modules():
            if isinstance(module, Fusion):
                module.alone = source
                module.requires_grad_(source is None)
                for name, adapter in module.sources.items():
                    adapter.requires_grad_(name == source)

    def stages(self, model: nn.Module, context: SeedContext) -> Iterator[Stage]:
        from .layers.sources import alone

        recipe = replace(
            self.recipe, lr=self.option("source_lr"), epochs=self.int_option("source_epochs")
        )
        for source in self.sources():
            self._stage(model, source)
            yield alone(
                self, recipe, model, context.source_task(source, self.int_option("source_shots"))
            )
        self._stage(model, None)
        yield context.stage(self.recipe)

    def checkpoint_parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """The fusion, the head, and the frozen adapters that are fused."""
        return {
            name: p
            for name, p in model.named_parameters()
            if p.requires_grad or ".adapter." in name
        }


METHODS = (AdapterFusion,)
