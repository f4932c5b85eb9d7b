"""Full fine-tuning: every weight trains; with a classification head on the last token it is called vanilla fine-tuning.

Mosbach et al. 2023 (arXiv:2305.16938), appendix: AdamW, lr 1e-5, 40 epochs, batch 32, warm-up over 10 % of the steps.
"""

from __future__ import annotations

from .base import Method, Recipe


class Full(Method):
    name = "full"
    recipes = {
        "pocket": Recipe(lr=0.0003, epochs=20),
        "paper": Recipe(lr=1e-5, epochs=40, batch=32),
    }


METHODS = (Full,)
