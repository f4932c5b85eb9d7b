"""Two methods of PEFT that its releases changed: TinyLoRA has other results, Bone went."""

from __future__ import annotations

from typing import Any

from pytest_ftcompare.methods.base import Recipe
from pytest_ftcompare.methods.through_peft import PeftMethod

RECIPES = {"pocket": Recipe(lr=0.01, epochs=20, options={"targets": ["q_proj", "v_proj"]})}


class TinyLora(PeftMethod):
    """TinyLoRA: other projections in each process until peft 0.20.0 (peft#3180)."""

    name = "tiny_lora"
    recipes = RECIPES

    def config(self, model: Any) -> Any:
        from peft import TinyLoraConfig

        return TinyLoraConfig(target_modules=self.target_modules(model))


class Bone(PeftMethod):
    """Bone, which peft 0.19.0 no longer has."""

    name = "bone"
    recipes = RECIPES

    def config(self, model: Any) -> Any:
        from peft import BoneConfig

        return BoneConfig(r=4, target_modules=self.target_modules(model))


METHODS = (TinyLora, Bone)
