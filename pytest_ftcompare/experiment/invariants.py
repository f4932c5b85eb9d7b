"""Invariants: what must hold of a method whatever its scores, checked on the probe without any baseline.

Each broken one is a sentence. They need no noise model: a merge that changes outputs or a frozen tensor that moves is wrong
on the first batch.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from pytest_ftcompare.experiment.evaluate import class_logits
from pytest_ftcompare.experiment.prepare import Prepared
from pytest_ftcompare.experiment.probe import Probed, build, every_row, update, without_dropout
from pytest_ftcompare.experiment.signature import structure
from pytest_ftcompare.experiment.train import backward, trainable
from pytest_ftcompare.result import Json

ROUNDING = 1e-6  # of logits that only another order of a sum may part
TOLERANCE = 1e-4  # of logits and gradients in float32, relative to their size


def _apart(first: torch.Tensor, second: torch.Tensor) -> float:
    """Largest difference, relative to the larger of 1 and the values' own size."""
    return ((first - second).abs().max() / max(1.0, first.abs().max().item())).item()


def _before_update(prepared: Prepared, probed: Probed) -> Iterator[str]:
    method = prepared.method
    if method.base_at_start and (apart := _apart(probed.base, probed.start)) > TOLERANCE:
        yield f"before training the outputs must be the base model's, they differ by {apart:.2g}"
    stage = probed.stage
    if stage is None:
        return
    if not trainable(probed.model):
        yield "something must train, no tensor requires a gradient"
        return
    without_dropout(probed.model)
    backward(probed.model, stage, every_row(stage), 1)
    whole = {name: p.grad.clone() for name, p in trainable(probed.model).items() if p.grad is not None}
    probed.model.zero_grad()
    backward(probed.model, stage, every_row(stage), 3)
    norm = sum(one.norm().item() ** 2 for one in whole.values()) ** 0.5
    for name, parameter in trainable(probed.model).items():
        if name not in whole or parameter.grad is None:
            if method.idle(name):
                continue
            yield f"{name} is declared to train, it received no gradient"
        elif (parameter.grad - whole[name]).norm().item() > TOLERANCE * norm:
            yield f"three accumulated micro-batches must give the gradient of one batch, {name} differs"
            break
    stray = [name for name, p in probed.model.named_parameters() if not p.requires_grad and p.grad is not None]
    if stray:
        yield f"{stray[0]} is frozen, it received a gradient"
    probed.model.zero_grad()


def _after_update(prepared: Prepared, probed: Probed, frozen: dict[str, torch.Tensor]) -> Iterator[str]:
    method, model = prepared.method, probed.model
    now = dict(model.named_parameters())
    for name, before in frozen.items():
        if not torch.equal(now[name], before):
            yield f"{name} is frozen, the first update moved it"
            break
    for name, (gradient, moved) in probed.record["tensors"].items():
        if gradient > TOLERANCE * probed.record["norm"] and moved == 0:
            yield f"{name} has a gradient, the first update left it as it was"
            break
    outputs = class_logits(model, prepared.ask, probed.rows)
    yield from _reloaded(prepared, model, outputs, probed.rows)
    if method.mergeable:
        try:
            merged = class_logits(method.merge(copy.deepcopy(model)), prepared.ask, probed.rows)
        except Exception as error:
            yield f"it must merge into its base model, that raised {type(error).__name__}: {error}"
            return
        if (apart := _apart(outputs, merged)) > TOLERANCE:
            yield f"merged, the outputs must be the unmerged ones, they differ by {apart:.2g}"


def _reloaded(prepared: Prepared, model: nn.Module, outputs: torch.Tensor, rows: list[list[int]]) -> Iterator[str]:
    """What `save` wrote, read into another model made from the same base with another fresh head."""
    with tempfile.TemporaryDirectory() as folder:
        prepared.method.save(model, Path(folder))
        torch.manual_seed(1)
        try:
            reloaded = prepared.method.restore(prepared.loaded().model, Path(folder))
        except Exception as error:
            yield f"what was saved must load again, it raised {type(error).__name__}: {error}"
            return
    if (apart := _apart(outputs, class_logits(reloaded, prepared.ask, rows))) > ROUNDING:
        yield f"saved and loaded again, the outputs must be the same, they differ by {apart:.2g}"


def inspect(prepared: Prepared) -> tuple[Json, Json, list[str]]:
    """Signature, probe, and the invariants that are broken."""
    probed = build(prepared)
    broken = list(_before_update(prepared, probed))
    frozen = {name: p.detach().clone() for name, p in probed.model.named_parameters() if not p.requires_grad}
    nothing = prepared.method.trains and not trainable(probed.model)  # a sentence in `broken` says so
    optimizer = None if nothing else update(prepared, probed)
    if prepared.method.trains and not broken:
        broken += _after_update(prepared, probed, frozen)
    return {"structure": structure(prepared.method, probed.model, optimizer)}, probed.record, broken
