"""A catalogue of what can go wrong in a fine-tuning stack, each a small patch, to see what the gate finds and by what.

A file for an area; a function in it is a fault. Many re-create a bug of a library that was fixed, with its issue. `benign.py`
has changes that must pass. `held_out.py` is for faults written by somebody who did not see how the gate judges: it is
imported where it exists. `python -m tests.faults.run docs/fault_catalogue.json` runs them all.
"""

from importlib import import_module
from importlib.util import find_spec

from .change import BENIGN, FAULTS, Case, Change

FILES = (
    *(
        "loss",
        "optimizer",
        "schedule",
        "dropout",
        "inputs",
        "data",
        "adapters",
        "freezing",
        "base_weights",
    ),
    *("precision", "quantization", "checkpoints", "cost", "late", "benign", "held_out"),
)
for file in FILES:
    if find_spec(f"{__name__}.{file}") is not None:
        import_module(f"{__name__}.{file}")

__all__ = ["BENIGN", "FAULTS", "Case", "Change"]
