"""Training on source tasks before the task itself: each source has a head of its own, which is not part of the model."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from ..base import Method, Recipe, SeedContext, Stage
from .head import fresh_head, replaced_head


def source_stage(method: Method, recipe: Recipe, model: nn.Module, context: SeedContext) -> Stage:
    """One source task, with a fresh head where one is asked."""
    stage = context.stage(recipe)
    if method.output_mode != "head":
        return stage
    head, loss = fresh_head(model), stage.loss

    def with_head(model: nn.Module, rows: list[list[int]], targets: torch.Tensor) -> torch.Tensor:
        with replaced_head(model, head):
            return loss(model, rows, targets)

    return replace(stage, loss=with_head, extra_parameters=tuple(head.parameters()))


def joint_stage(method: Method, recipe: Recipe, model: nn.Module, contexts: list[SeedContext]) -> Stage:
    """All source tasks at once: batches mix their rows, each row is scored by its own task's head or verbalizers."""
    stages = [source_stage(method, recipe, model, context) for context in contexts]
    which = torch.cat(
        [
            torch.full((len(one.rows),), at, device=one.targets.device)
            for at, one in enumerate(stages)
        ]
    )
    answers = torch.cat([one.targets for one in stages])

    def loss(model: nn.Module, rows: list[list[int]], targets: torch.Tensor) -> torch.Tensor:
        total = torch.zeros((), device=targets.device)
        for at, stage in enumerate(stages):
            mine = [number for number, one in enumerate(targets[:, 0].tolist()) if one == at]
            if mine:
                part = stage.loss(model, [rows[number] for number in mine], targets[mine, 1])
                total = total + part * (len(mine) / len(rows))
        return total

    rows = [row for one in stages for row in one.rows]
    own = tuple(parameter for one in stages for parameter in one.extra_parameters)
    return replace(
        stages[0],
        rows=rows,
        targets=torch.stack([which, answers], dim=1),
        loss=loss,
        extra_parameters=own,
    )
