"""P-Tuning v2 with PEFT: a trained prefix in every layer, without prefix tuning's MLP.

Liu et al. 2021 (arXiv:2110.07602): close to full fine-tuning on small models, where prompt tuning
is not; lr 5e-3 to 3e-2. With `sources`, one prefix first trains on all source tasks at once, with a
head per source and `source_shots` examples per class.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from .base import OutputMode, Recipe, SeedContext, Stage
from .prefix_tuning import PrefixTuning

if TYPE_CHECKING:
    from torch import nn


OPTIONS = {"length": 5, "sources": (), "source_shots": 64}


class PTuningV2(PrefixTuning):
    name = "p_tuning_v2"
    reparametrised = False
    output_modes: ClassVar[tuple[OutputMode, ...]] = ("head", "pattern")
    recipes = {
        "pocket": Recipe(lr=0.03, epochs=20, options=OPTIONS),
        "paper": Recipe(lr=1e-2, epochs=40, batch_size=32, options={**OPTIONS, "length": 20}),
    }

    def stages(self, model: nn.Module, context: SeedContext) -> Iterator[Stage]:
        from .layers.sources import joint_stage

        (task,) = super().stages(model, context)
        if sources := self.sources():
            contexts = [
                context.source_task(source, self.int_option("source_shots")) for source in sources
            ]
            yield joint_stage(self, self.recipe, model, contexts)
        yield task


METHODS = (PTuningV2,)
