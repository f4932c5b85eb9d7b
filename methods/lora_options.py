"""Variants of LoRA that are one option of PEFT's.

- DoRA (Liu et al. 2024, arXiv:2402.09353): W' = m (W + BA) / ||W + BA||. The magnitudes m, one per
  output, train beside A and B.
- rsLoRA (Kalajdzievski 2023, arXiv:2312.03732): the scale is alpha / sqrt(r), so that high ranks
  keep their gradients.
- PiSSA (Meng et al. 2024, arXiv:2404.02948): A and B start as the principal singular vectors of W,
  and W keeps the rest. W + BA is the base model's weight up to rounding.
"""

from __future__ import annotations

from .base import Recipe
from .lora import OPTIONS, Lora


class Dora(Lora):
    name = "dora"
    variant = {"use_dora": True}
    recipes = {
        "pocket": Recipe(lr=0.01, epochs=20, options=OPTIONS),
        "paper": Recipe(lr=2e-4, epochs=40, batch_size=32, options=OPTIONS),
    }


class Rslora(Lora):
    name = "rslora"
    variant = {"use_rslora": True}
    recipes = {
        "pocket": Recipe(lr=0.005, epochs=20, options={**OPTIONS, "r": 16}),
        "paper": Recipe(lr=2e-4, epochs=40, batch_size=32, options={**OPTIONS, "r": 64}),
    }


class Pissa(Lora):
    name = "pissa"
    variant = {"init_lora_weights": "pissa"}
    recipes = {
        "pocket": Recipe(lr=0.003, epochs=20, options={**OPTIONS, "alpha": 8, "dropout": 0.0}),
        "paper": Recipe(
            lr=2e-5, epochs=40, batch_size=32, options={**OPTIONS, "alpha": 8, "dropout": 0.0}
        ),
    }


METHODS = (Dora, Rslora, Pissa)
