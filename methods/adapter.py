"""Bottleneck adapters: small networks in each layer's residual branches of a frozen base model.

- `houlsby` (Houlsby et al. 2019, arXiv:1902.00751): after the attention and after the feed-forward,
  size 64, lr 3e-4. The normalisation layers train too.
- `pfeiffer` (Pfeiffer et al. 2020, arXiv:2005.00247): after the feed-forward only; the size is the
  width divided by 16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from .base import Method, MethodError, Recipe

if TYPE_CHECKING:
    from torch import nn

    from .layers.architecture import ModelLayout

PLACEMENTS = {"houlsby": ("attention_out", "ffn_out"), "pfeiffer": ("ffn_out",)}


class Adapter(Method):
    name = "adapter"
    train_norms: ClassVar[bool] = True  # the normalisation layers, in Houlsby's placement
    recipes: ClassVar = {
        "pocket": Recipe(lr=0.01, epochs=20, options={"placement": "houlsby", "size": 16}),
        "paper": Recipe(
            lr=3e-4, epochs=40, batch_size=32, options={"placement": "houlsby", "size": 64}
        ),
    }

    def apply(self, model: nn.Module) -> nn.Module:
        from .layers.architecture import find_layout
        from .layers.head import freeze

        placement = self.option("placement")
        if placement not in PLACEMENTS:
            raise MethodError(
                f"{self.name}: expected placement to be {' or '.join(PLACEMENTS)}, "
                f"got {placement!r}"
            )
        layout = find_layout(model)
        norms = layout.names.norms if placement == "houlsby" and self.train_norms else ()
        freeze(
            model,
            self.output_mode,
            keep=lambda name: any(part in norms for part in name.split(".")),
        )
        self.add_adapters(layout, PLACEMENTS[placement])
        return model

    def add_adapters(self, layout: ModelLayout, places: tuple[str, ...]) -> None:
        """Put an adapter after each of `places` in every layer."""
        from .layers.bottleneck import Bottleneck, add_after

        for layer in layout.layers:
            for place in places:
                add_after(
                    layout.module(layer, place), Bottleneck(layout.width, self.int_option("size"))
                )


METHODS = (Adapter,)
