"""Bottleneck adapters: small networks inside each layer's residual branches; the base model stays frozen.

- `houlsby` (Houlsby et al. 2019, arXiv:1902.00751): after the attention and after the feed-forward, size 64, the
  normalisation layers train too, lr 3e-4.
- `pfeiffer` (Pfeiffer et al. 2020, arXiv:2005.00247): after the feed-forward only, the width divided by 16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from .base import Method, MethodError, Recipe

if TYPE_CHECKING:
    from torch import nn

    from .layers.architecture import Places

PLACEMENTS = {"houlsby": ("attention_out", "ffn_out"), "pfeiffer": ("ffn_out",)}


class Adapter(Method):
    name = "adapter"
    norms: ClassVar[bool] = True  # whether Houlsby's placement trains the normalisation layers
    recipes: ClassVar = {
        "pocket": Recipe(lr=0.01, epochs=20, options={"placement": "houlsby", "size": 16}),
        "paper": Recipe(
            lr=3e-4, epochs=40, batch_size=32, options={"placement": "houlsby", "size": 64}
        ),
    }

    def apply(self, model: nn.Module) -> nn.Module:
        from .layers.architecture import places
        from .layers.head import freeze

        placement = self.option("placement")
        if placement not in PLACEMENTS:
            raise MethodError(
                f"{self.name}: expected placement to be {' or '.join(PLACEMENTS)}, got {placement!r}"
            )
        found = places(model)
        norms = found.names.norms if placement == "houlsby" and self.norms else ()
        freeze(
            model, self.output_mode, but=lambda name: any(part in norms for part in name.split("."))
        )
        self.add(found, PLACEMENTS[placement])
        return model

    def add(self, found: Places, where: tuple[str, ...]) -> None:
        """Put the adapters into the layers."""
        from .layers.bottleneck import Bottleneck, add_after

        for layer in found.layers:
            for place in where:
                add_after(found.of(layer, place), Bottleneck(found.width, self.int_option("size")))


METHODS = (Adapter,)
