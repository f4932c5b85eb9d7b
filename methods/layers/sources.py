"""Stages that train on source tasks before the task itself.

In output mode `head`, each source has its own head, which is not part of the model.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from ..base import Method, Recipe, SeedContext, Stage
from .head import fresh_head, replaced_head


def source_stage(method: Method, recipe: Recipe, model: nn.Module, context: SeedContext) -> Stage:
    """Return the stage of one source task, with a fresh head in output mode `head`."""
    stage = context.stage(recipe)
    if method.output_mode != "head":
        return stage
    head, loss = fresh_head(model), stage.loss

    def with_head(model: nn.Module, rows: list[list[int]], targets: torch.Tensor) -> torch.Tensor:
        with replaced_head(model, head):
            return loss(model, rows, targets)

    return replace(stage, loss=with_head, extra_parameters=tuple(head.parameters()))


def joint_stage(
    method: Method, recipe: Recipe, model: nn.Module, contexts: list[SeedContext]
) -> Stage:
    """Return one stage of all source tasks.

    Batches mix the tasks' rows. Each row is scored with its own task's head or verbalizers.
    """
    stages = [source_stage(method, recipe, model, context) for context in contexts]
    source_indices = torch.cat(
        [
            torch.full((len(stage.rows),), index, device=stage.targets.device)
            for index, stage in enumerate(stages)
        ]
    )
    answers = torch.cat([stage.targets for stage in stages])

    def loss(model: nn.Module, rows: list[list[int]], targets: torch.Tensor) -> torch.Tensor:
        total = torch.zeros((), device=targets.device)
        for index, stage in enumerate(stages):
            chosen = [row for row, source in enumerate(targets[:, 0].tolist()) if source == index]
            if chosen:
                part = stage.loss(model, [rows[row] for row in chosen], targets[chosen, 1])
                total = total + part * (len(chosen) / len(rows))
        return total

    rows = [row for stage in stages for row in stage.rows]
    extra = tuple(parameter for stage in stages for parameter in stage.extra_parameters)
    return replace(
        stages[0],
        rows=rows,
        targets=torch.stack([source_indices, answers], dim=1),
        loss=loss,
        extra_parameters=extra,
    )
