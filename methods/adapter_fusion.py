"""AdapterFusion: train an adapter for each source task, then attention over their outputs.

Pfeiffer et al. 2020 (arXiv:2005.00247). Stage 1 trains one Pfeiffer adapter for each of `sources`,
on `source_shots` examples per class. If a source is the task itself, it trains on the seed's own
training rows. Stage 2 freezes the adapters and trains the head and the fusion: a query, a key and a
value matrix of width x width in every layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from .base import Method, MethodError, Recipe, SeedContext, Stage

if TYPE_CHECKING:
    from torch import nn

MIN_SOURCES = 3  # source tasks; chosen


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
        from .layers.architecture import find_layout
        from .layers.bottleneck import add_after
        from .layers.fusion import Fusion
        from .layers.head import freeze

        sources = self.sources()
        if len(sources) < MIN_SOURCES:
            given = ", ".join(sources) or "none"
            raise MethodError(
                f"adapter_fusion: expected at least {MIN_SOURCES} different source tasks to fuse, "
                f"got {given}"
            )
        layout = find_layout(model)
        freeze(model, self.output_mode)
        for layer in layout.layers:
            add_after(
                layout.module(layer, "ffn_out"),
                Fusion(layout.width, self.int_option("size"), sources),
            )
        self._activate(model, None)
        return model

    def _activate(self, model: nn.Module, source: str | None) -> None:
        """Use and train only the adapter of `source`, or with None the fusion of all adapters."""
        from .layers.fusion import Fusion

        for module in model.modules():
            if isinstance(module, Fusion):
                module.active_source = source
                module.requires_grad_(source is None)
                for name, adapter in module.sources.items():
                    adapter.requires_grad_(name == source)

    def stages(self, model: nn.Module, context: SeedContext) -> Iterator[Stage]:
        from .layers.sources import source_stage

        recipe = replace(
            self.recipe, lr=self.option("source_lr"), epochs=self.int_option("source_epochs")
        )
        for source in self.sources():
            self._activate(model, source)
            yield source_stage(
                self, recipe, model, context.source_task(source, self.int_option("source_shots"))
            )
        self._activate(model, None)
        yield context.stage(self.recipe)

    def checkpoint_parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """Return the fusion, the head and the frozen adapters by name."""
        return {
            name: p
            for name, p in model.named_parameters()
            if p.requires_grad or ".adapter." in name
        }


METHODS = (AdapterFusion,)
