"""Full fine-tuning: train every weight.

With a classification head on the last token the studies call it vanilla fine-tuning. Mosbach et al.
2023 (arXiv:2305.16938), appendix: AdamW, lr 1e-5, 40 epochs, batch 32, warm-up over 10 % of the
steps. Instruction tuning: Sun et al. 2023 (arXiv:2304.08109), lr 5e-6, 3 epochs, batch 32, warm-up
over 3 % of the steps; here the decay is linear.
"""

from __future__ import annotations

from .base import Method, Recipe


class Full(Method):
    name = "full"
    recipes = {
        "pocket": Recipe(lr=0.0003, epochs=20),
        "paper": Recipe(lr=1e-5, epochs=40, batch_size=32),
        "pocket, answer": Recipe(lr=0.001, epochs=8),
        "paper, answer": Recipe(lr=5e-6, epochs=3, batch_size=32, warmup_share=0.03),
    }


METHODS = (Full,)
