"""Pattern-based fine-tuning: the language model's own head, read at the verbalizers; every weight trains.

A pattern turns the row into text that ends where an answer is due; the classes' scores are the logits of their verbalizers
at the last position (Schick and Schütze 2021, arXiv:2001.07676; for OPT Mosbach et al. 2023, arXiv:2305.16938):
p(class) = softmax over classes of logit[verbalizer(class)]. Nothing is new in the model, so few examples suffice.
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
