"""A catalogue of faults of a fine-tuning stack, each a small patch, to test the gate.

Each file covers an area, and each of its functions is a fault. Many repeat a fixed bug of a library
and name its issue. `benign.py` has changes that must pass. `held_out.py`, if present, has faults by
an author who did not know how the gate judges. `traincheck.py` re-creates errors by which another
tool is measured. `whole_life.py`, `fresh_models.py` and `derivatives.py` have faults for the suites
without baselines. `python -m tests.faults.run docs/fault_catalogue.json` runs them all.
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
    *(
        "precision",
        "quantization",
        "checkpoints",
        "cost",
        "late",
        "benign",
        "held_out",
        "traincheck",
        "whole_life",
        "fresh_models",
        "derivatives",
    ),
)
for file in FILES:
    if find_spec(f"{__name__}.{file}") is not None:
        import_module(f"{__name__}.{file}")

__all__ = ["BENIGN", "FAULTS", "Case", "Change"]
