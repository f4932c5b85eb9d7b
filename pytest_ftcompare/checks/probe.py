"""The probe: one update without any randomness, so that any machine and any version that computes the same agrees.

Base weights come from their files, every other trainable tensor is filled from a generator seeded by its *name* (a
library's initialisation may draw in another order after an upgrade), dropout is off, the batch is fixed. Recorded are the
logits, the loss, each tensor's gradient norm and the norm of its first update; beside them the size of what initialisation
drew before the fill, and how far dropout moves the loss, which another draw measures alike.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import torch
from torch import nn

from pytest_ftcompare.checks.random_draws import initial_sizes
from pytest_ftcompare.methods.base import Rows, Stage
from pytest_ftcompare.results.result import Json, rounded
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import backward, make_optimizer, trainable

ROWS_PER_CLASS = 4
FILL_RANGE = 0.05  # of the uniform fill; large enough that each new tensor moves the loss
DIGITS = 6
RECORDED_LOGITS = (
    16  # logits recorded of each row; more than there are classes, fewer than a vocabulary
)


def _tensor_digest(tensor: torch.Tensor) -> bytes:
    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(raw.numpy().tobytes() + str(tuple(tensor.shape)).encode()).digest()


def _generator(name: str) -> torch.Generator:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def fill(model: nn.Module, new: set[str]) -> None:
    """Overwrite each trainable tensor that is not one of the base model's with numbers that its name decides."""
    for name, parameter in trainable(model).items():
        if name in new:
            # Uniform from raw bits: the same to the last bit under every instruction set, which a normal draw is not.
            drawn = torch.rand(parameter.shape, generator=_generator(name), dtype=torch.float64)
            parameter.copy_((2 * drawn - 1) * FILL_RANGE)


@dataclass
class ProbedModel:
    """A model with the method applied, filled, before its update; and what the invariants need to know of its start."""

    model: nn.Module
    stage: Stage | None  # of the probe's batch; None where nothing trains
    rows: Rows
    base: torch.Tensor  # logits of the base model with the same fresh head
    start: torch.Tensor  # logits after the method was applied, before the fill
    outputs: torch.Tensor  # logits after the fill
    record: Json = field(default_factory=dict)


def build_probe(prepared: PreparedCase) -> ProbedModel:
    """Load the base model, apply the method, fill what is new."""
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
        for name, parameter in trainable(model).items()
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
    """Evaluation mode with gradients; recurrent layers, which have no dropout here, stay in training mode, as cuDNN wants."""
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            module.train()


def all_rows(stage: Stage) -> list[int]:
    """The numbers of all rows of a stage."""
    return list(range(len(stage.rows)))


def probe_update(prepared: PreparedCase, probed: ProbedModel) -> torch.optim.Optimizer | None:
    """Fill `probed.record`, doing one update of its model; the optimiser, None where nothing trains."""
    probed.record["outputs"] = [
        [rounded(one, DIGITS) for one in row]
        for row in probed.outputs[:, :RECORDED_LOGITS].tolist()
    ]
    stage = probed.stage
    if stage is None:
        return None
    without_dropout(probed.model)
    optimizer = make_optimizer(probed.model, stage)
    (loss,) = backward(probed.model, stage, all_rows(stage), 1)
    parameters = trainable(probed.model)
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    norms = {
        name: p.grad.norm().item() if p.grad is not None else 0.0 for name, p in parameters.items()
    }
    optimizer.step()
    probed.record["loss"] = rounded(loss.item(), DIGITS)
    probed.record["norm"] = rounded(sum(one * one for one in norms.values()) ** 0.5, DIGITS)
    # Each tensor's gradient norm, and the norm of its first update.
    probed.record["tensors"] = {
        name: [
            rounded(norms[name], DIGITS),
            rounded((p.detach() - before[name]).norm().item(), DIGITS),
        ]
        for name, p in parameters.items()
    }
    return optimizer
