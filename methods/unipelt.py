"""UniPELT: LoRA on query and value, a prefix and an adapter in every layer, each behind a gate.

Mao et al. 2021 (arXiv:2110.07577): prefix length 10, LoRA rank 8, adapter size 48; lr 5e-4. LoRA is
PEFT's. A gate is one number per row, averaged over the row's tokens. It sees the whole text, so the
method has no output mode `answer`, in which the model writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .base import Method, Recipe, SeedContext, Stage

if TYPE_CHECKING:
    from torch import nn


class Unipelt(Method):
    name = "unipelt"
    starts_as_base_model = False
    output_modes = ("head", "pattern")
    recipes = {
        "pocket": Recipe(lr=0.01, epochs=20, options={"length": 5, "size": 16, "r": 4, "alpha": 8}),
        "paper": Recipe(
            lr=5e-4,
            epochs=40,
            batch_size=32,
            options={"length": 10, "size": 48, "r": 8, "alpha": 16},
        ),
    }

    def apply(self, model: nn.Module) -> nn.Module:
        from peft import LoraConfig, inject_adapter_in_model

        from .layers.architecture import find_layout
        from .layers.bottleneck import add_after, device_of
        from .layers.gates import BatchMask, GatedBottleneck, LayerGates
        from .layers.head import freeze
        from .layers.prefix import add_prefix

        layout, batch = find_layout(model), BatchMask()
        targets = [layout.names.query, layout.names.value]
        config = LoraConfig(
            r=self.int_option("r"), lora_alpha=self.option("alpha"), target_modules=targets
        )
        inject_adapter_in_model(config, model)
        freeze(model, self.output_mode, keep=lambda name: "lora_" in name)
        model.register_forward_pre_hook(batch.remember, with_kwargs=True)
        for layer, prefix in zip(
            layout.layers, add_prefix(model, layout, self.int_option("length")), strict=True
        ):
            add_after(
                layout.module(layer, "ffn_out"),
                GatedBottleneck(layout.width, self.int_option("size"), batch),
            )
            gates = LayerGates(layout.width, batch, prefix).to(device_of(layer))
            # On the attention: with gradient checkpointing, hooks of the layer do not run again.
            attention: Any = layout.module(layer, "attention")
            attention.add_module("gates", gates)
            attention.register_forward_pre_hook(gates.open, with_kwargs=True)
            attention.register_forward_hook(gates.close)
            for target in targets:
                getattr(attention, target).lora_B["default"].register_forward_hook(gates.scale)
        return model

    def stages(self, model: nn.Module, context: SeedContext) -> Iterator[Stage]:
        from .layers.gates import INITIAL_GATE
        from .layers.text_start import start_prefixes

        start_prefixes(model, context, scale=1 / INITIAL_GATE)
        yield context.stage(self.recipe)


METHODS = (Unipelt,)
