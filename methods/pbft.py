"""Pattern-based fine-tuning: train every weight, and read classes off the language model's head.

A pattern turns the row into text that ends where the answer is due. A class's score is the logit of
its verbalizer at the last position: p(class) = softmax over classes of logit[verbalizer(class)]
(Schick and Schütze 2021, arXiv:2001.07676; for OPT Mosbach et al. 2023, arXiv:2305.16938). The
model has no new parts, so few examples suffice.
"""

from __future__ import annotations

from .base import Method, Recipe


class Pbft(Method):
    name = "pbft"
    output_modes = ("pattern",)
    recipes = {
        "pocket": Recipe(lr=0.0003, epochs=20),
        "paper": Recipe(lr=1e-5, epochs=40, batch_size=32),
    }


METHODS = (Pbft,)
