"""Vanilla fine-tuning: a fresh classification head on the last token, and every weight trains.

Mosbach et al. 2023 (arXiv:2305.16938), appendix: AdamW, lr 1e-5, 40 epochs, batch 32, warm-up over 10 % of the steps.
"""

from __future__ import annotations

from .base import Method, Recipe


class Full(Method):
    recipes = {
        "pocket": Recipe(lr=5e-4, epochs=20),
        "paper": Recipe(lr=1e-5, epochs=40, batch=32),
    }


METHOD = Full
