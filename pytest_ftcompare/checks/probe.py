"""The probe: one update without randomness, compared without noise. `invariants.py` calls it.

Any machine and version that computes the same gives the same record. Base weights come from their
files. Every other trainable tensor is filled from a generator seeded by its name, because a library
may draw its initialisation in another order after an upgrade. Dropout is off and the batch is
fixed.

The record has logits, loss, each tensor's gradient norm and the norm of its first update. It also
has the size of the initial draw before the fill, and the effect of dropout on the loss
(random_draws.py).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

import torch
from torch import nn

from pytest_ftcompare.checks.random_draws import initial_sizes
from pytest_ftcompare.methods.base import Rows, Stage
from pytest_ftcompare.results.result import Json, rounded
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import backward, make_optimizer, trainable_parameters

ROWS_PER_CLASS = 4  # of the probe's batch, chosen
# Largest value of the uniform fill; chosen so that each new tensor moves the loss.
FILL_RANGE = 0.05
DIGITS = 6  # significant digits of a recorded number, chosen
# Logits recorded per row, chosen: more than classes, fewer than a vocabulary.
RECORDED_LOGITS = 16


def _tensor_digest(tensor: torch.Tensor) -> bytes:
    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(raw.numpy().tobytes() + str(tuple(tensor.shape)).encode()).digest()


def _generator(name: str) -> torch.Generator:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def fill(model: nn.Module, new: set[str]) -> None:
    """Fill each trainable tensor in `new` with numbers that depend on its name only."""
    for name, parameter in trainable_parameters(model).items():
        if name in new:
            # Uniform numbers are the same bits under every instruction set, normal ones are not.
            drawn = torch.rand(parameter.shape, generator=_generator(name), dtype=torch.float64)
            parameter.copy_((2 * drawn - 1) * FILL_RANGE)


@dataclass
class ProbedModel:
    """A model with the method applied and filled, before its update, and its earlier outputs."""

    model: nn.Module
    stage: Stage | None  # the probe's batch; None if nothing trains
    rows: Rows
    base: torch.Tensor  # logits of the base model with the same new head
    start: torch.Tensor  # logits after the method was applied, before the fill
    outputs: torch.Tensor  # logits after the fill
    record: Json = field(default_factory=dict)


def build_probe(prepared: PreparedCase) -> ProbedModel:
    """Load the base model, apply the method, fill new tensors."""
    context = PreparedSeed(prepared, 0, ROWS_PER_CLASS)
    torch.manual_seed(0)
    loaded = prepared.loaded()
    from_base = {
        _tensor_digest(p)
        for name, p in loaded.model.named_parameters()
        if name not in loaded.new_parameters
    }
    base = class_logits(loaded.model, prepared.interface, context.rows)
    model = prepared.method.apply(loaded.model)
    start = class_logits(model, prepared.interface, context.rows)
    new = {
        name
        for name, parameter in trainable_parameters(model).items()
        if _tensor_digest(parameter) not in from_base
    }
    record: Json = {"start": initial_sizes(model, new)}
    fill(model, new)
    stage = context.stage(prepared.method.recipe) if prepared.method.trains else None
    return ProbedModel(
        model,
        stage,
        context.rows,
        base,
        start,
        class_logits(model, prepared.interface, context.rows),
        record,
    )


def without_dropout(model: nn.Module) -> None:
    """Turn dropout off, for gradients without randomness."""
    model.eval()
    # cuDNN needs training mode for gradients of recurrent layers; they have no dropout here.
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            module.train()


def all_rows(stage: Stage) -> list[int]:
    """Return the numbers of all rows of a stage."""
    return list(range(len(stage.rows)))


def probe_update(prepared: PreparedCase, probed: ProbedModel) -> torch.optim.Optimizer | None:
    """Do one update, fill `probed.record`, and return the optimiser; None if nothing trains."""
    probed.record["outputs"] = [
        [rounded(logit, DIGITS) for logit in row]
        for row in probed.outputs[:, :RECORDED_LOGITS].tolist()
    ]
    stage = probed.stage
    if stage is None:
        return None
    without_dropout(probed.model)
    optimizer = make_optimizer(probed.model, stage)
    (loss,) = backward(probed.model, stage, all_rows(stage), 1)
    parameters = trainable_parameters(probed.model)
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    norms = {
        name: p.grad.norm().item() if p.grad is not None else 0.0 for name, p in parameters.items()
    }
    optimizer.step()
    probed.record["loss"] = rounded(loss.item(), DIGITS)
    probed.record["norm"] = rounded(math.hypot(*norms.values()), DIGITS)
    # Each tensor's gradient norm, and the norm of its first update.
    probed.record["tensors"] = {
        name: [
            rounded(norms[name], DIGITS),
            rounded((p.detach() - before[name]).norm().item(), DIGITS),
        ]
        for name, p in parameters.items()
    }
    return optimizer
