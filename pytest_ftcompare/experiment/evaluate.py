"""Evaluation: class logits of every row, in batches of like length, in the rows' own order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from pytest_ftcompare.experiment.ask import Questioner

BATCH = 64


@torch.inference_mode()
def class_logits(model: nn.Module, ask: Questioner, rows: Sequence[list[int]]) -> torch.Tensor:
    """(rows, classes) in float32 on the CPU; dropout off."""
    model.eval()
    by_length = sorted(range(len(rows)), key=lambda at: len(rows[at]))
    result: torch.Tensor | None = None
    for start in range(0, len(rows), BATCH):
        chosen = by_length[start : start + BATCH]
        logits = ask.logits(model, ask.collate([rows[at] for at in chosen])).float().cpu()
        if result is None:
            result = torch.empty(len(rows), logits.shape[1])
        result[chosen] = logits
    assert result is not None
    return result
