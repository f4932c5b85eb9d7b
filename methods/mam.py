"""MAM adapter, "mix and match": a prefix in the attention and an adapter beside the feed-forward.

He et al. 2021 (arXiv:2110.04366), section 4.6: prefix of length 30, scaled parallel adapter of
size 512, scale 4. The prefix trains as keys and values, without the authors' re-parametrisation,
which leaves only these after training.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .base import Method, Recipe, SeedContext, Stage

if TYPE_CHECKING:
    from torch import nn


class Mam(Method):
    name = "mam"
    starts_as_base_model = False
    recipes = {
        "pocket": Recipe(lr=0.003, epochs=20, options={"length": 5, "size": 64, "scale": 4.0}),
        "paper": Recipe(
            lr=5e-5, epochs=40, batch_size=32, options={"length": 30, "size": 512, "scale": 4.0}
        ),
    }

    def apply(self, model: nn.Module) -> nn.Module:
        from .layers.architecture import find_layout
        from .layers.bottleneck import Bottleneck, add_beside
        from .layers.head import freeze
        from .layers.prefix import add_prefix

        layout = find_layout(model)
        freeze(model, self.output_mode)
        add_prefix(model, layout, self.int_option("length"))
        for layer in layout.layers:
            adapter = Bottleneck(layout.width, self.int_option("size"), self.option("scale"))
            add_beside(layout.module(layer, "ffn_in"), layout.module(layer, "ffn_out"), adapter)
        return model

    def stages(self, model: nn.Module, context: SeedContext) -> Iterator[Stage]:
        from .layers.text_start import start_prefixes

        start_prefixes(model, context)
        yield context.stage(self.recipe)


METHODS = (Mam,)
