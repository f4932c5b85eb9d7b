"""Make results for tests of the comparison, without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_ftcompare.results.result import Result, SeedResult, Trace, pack


def make_seed_result(
    seed: int, accuracy: float, ood: float = 0.6, trace: str = "trace", rows: int = 200
) -> SeedResult:
    """Make a seed's result with this accuracy in domain and `ood` out of domain."""
    right = [index < round(accuracy * rows) for index in range(rows)]
    # Each seed errs on different rows.
    bits = pack(right[-seed:] + right[:-seed])
    return SeedResult(
        seed=seed,
        training_rows=f"subset-{seed}",
        trace=Trace(f"{trace}-{seed}", [[0.7, 1.0], [0.65, 1.1]], [0.7, 0.5]),
        metrics={"accuracy": accuracy, "accuracy_ood": ood, "loss": 0.5, "loss_ood": 0.9},
        correct={"test": bits, "ood": bits},
        class_counts={"test": [rows // 2, rows // 2], "ood": [rows // 2, rows // 2]},
        predictions_digest=f"predictions-{accuracy}",
    )


def make_result(scores: Sequence[float], **changes: Any) -> Result:
    """Make a valid result with one seed for each score."""
    result = Result(
        id="full-task-model-n16",
        suite="few_shot",
        identity={"method": "full"},
        fingerprint="f",
        environment={"torch": "2.13.0", "device": "cpu", "methods/full.py": "a", "commit": "1"},
        recipe={"lr": 0.001},
        signature={
            "structure": {
                "trainable": 10,
                "optimizer": {"type": "AdamW", "groups": [{"lr": 0.001, "tensors": 2}]},
                "trains": {"layers.*.weight [2, 2]": 2},
            }
        },
        probe={
            "outputs": [[0.1, 0.2], [0.3, -0.4]],
            "loss": 0.7,
            "norm": 2.0,
            "tensors": {"layers.0.weight": [1.0, 0.1], "layers.1.weight": [1.7, 0.1]},
        },
        majority_share={"test": 0.5, "ood": 0.5},
        seed_results=[make_seed_result(seed, score) for seed, score in enumerate(scores)],
    )
    return replace(result, **changes)
