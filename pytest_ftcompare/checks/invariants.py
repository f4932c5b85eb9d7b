"""Check invariants: properties of every method, checked on the probe without a baseline or noise.

`gate/shared_inspection.py` calls `inspect_any_shots`, suites/test_invariants.py calls `check`. A
broken invariant is one sentence. These checks are cheap enough for every case; `slow_invariants.py`
has those for tiny models only.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from pytest_ftcompare.checks.adamw_reference import check_adamw
from pytest_ftcompare.checks.errors import error_sentence, guarded, raise_if_device
from pytest_ftcompare.checks.probe import (
    ProbedModel,
    all_rows,
    build_probe,
    probe_update,
    without_dropout,
)
from pytest_ftcompare.checks.random_draws import measure_dropout
from pytest_ftcompare.checks.row_encoding import check_labels, check_truncation
from pytest_ftcompare.checks.row_order import check_row_order
from pytest_ftcompare.checks.structure import structure
from pytest_ftcompare.methods.base import Stage
from pytest_ftcompare.results.result import Json
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.train import backward, trainable_parameters

# Tolerances are relative to the larger of 1 and the size of logits or gradients, and chosen.
# Raising them hides small errors.
ROUNDING = 1e-6  # where only the order of a sum may differ
TOLERANCE = 1e-4  # where float32 computes the same in another way
HEAD_NAMES = frozenset({"score", "classifier"})  # transformers' names of a classification head
# Elements of a gradient that may all fit bfloat16 by chance; chosen. Raising it checks fewer
# tensors.
MIN_ELEMENTS = 8
State = dict[str, torch.Tensor]


def relative_difference(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the largest difference, relative to the larger of 1 and the first tensor's size.

    It is infinite if shapes differ, or if only one tensor has NaN at a place.
    """
    if first.shape != second.shape or not torch.equal(first.isnan(), second.isnan()):
        return float("inf")
    return (
        (first - second).nan_to_num().abs().max() / max(1.0, first.nan_to_num().abs().max().item())
    ).item()


def copy_state(model: nn.Module) -> State:
    """Copy all parameters and buffers, by name."""
    return {
        name: tensor.detach().clone()
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
    }


def first_changed(model: nn.Module, before: State) -> str | None:
    """Return the first parameter or buffer of `before` that changed, compared bit for bit."""
    now = dict((*model.named_parameters(), *model.named_buffers()))
    return next(
        (
            name
            for name, tensor in before.items()
            if name not in now or not torch.equal(now[name], tensor)
        ),
        None,
    )


def _check_start(prepared: PreparedCase, probed: ProbedModel) -> Iterator[str]:
    if (
        prepared.method.starts_as_base_model
        and (off := relative_difference(probed.base, probed.start)) > TOLERANCE
    ):
        yield f"before training the outputs must be the base model's, they differ by {off:.2g}"


def _check_evaluation(prepared: PreparedCase, probed: ProbedModel, before: State) -> Iterator[str]:
    """Check that evaluation repeats, changes no tensor, and treats each row by itself."""
    again = class_logits(probed.model, prepared.interface, probed.rows)
    if (off := relative_difference(probed.outputs, again)) > ROUNDING:
        yield f"evaluated twice, the outputs must be the same, they differ by {off:.2g}"
    shortest = min(range(len(probed.rows)), key=lambda number: len(probed.rows[number]))
    alone = class_logits(probed.model, prepared.interface, [probed.rows[shortest]])
    if (off := relative_difference(probed.outputs[[shortest]], alone)) > TOLERANCE:
        yield (
            "alone, a row must get what it gets beside longer ones, "
            f"its outputs differ by {off:.2g}"
        )
    if name := first_changed(probed.model, before):
        yield f"evaluation must leave the model as it was, {name} moved"


def _loss_reaches_trainable(model: nn.Module, stage: Stage) -> bool:
    """Return whether the loss depends on any tensor that trains."""
    return stage.loss(model, stage.rows[:1], stage.targets[:1]).requires_grad


def _check_head(prepared: PreparedCase, probed: ProbedModel) -> Iterator[str]:
    """Check that a new classification head trains: until then it answers at random."""
    names = {part for name in trainable_parameters(probed.model) for part in name.split(".")}
    if prepared.interface.output_mode == "head" and names.isdisjoint(HEAD_NAMES):
        yield "a new classification head must train, no tensor of it requires a gradient"


def _check_gradients(prepared: PreparedCase, probed: ProbedModel, stage: Stage) -> Iterator[str]:
    """Check that trained tensors alone get a gradient, and that micro-batches do not matter."""
    method = prepared.method
    without_dropout(probed.model)
    (loss,) = backward(probed.model, stage, all_rows(stage), 1)
    if prepared.interface.output_mode != "answer":
        with torch.no_grad():
            outputs = probed.outputs.to(loss.device)
            expected = method.loss(outputs, stage.targets) + method.penalty(probed.model)
        if (off := relative_difference(loss, expected.float())) > TOLERANCE:
            yield (
                "without dropout, training must compute the loss that evaluation's outputs give, "
                f"it differs by {off:.2g}"
            )
    whole = {
        name: p.grad.clone()
        for name, p in trainable_parameters(probed.model).items()
        if p.grad is not None
    }
    probed.model.zero_grad()
    backward(probed.model, stage, all_rows(stage), 3)
    norm = sum(gradient.norm().item() ** 2 for gradient in whole.values()) ** 0.5
    for name, parameter in trainable_parameters(probed.model).items():
        if name not in whole or parameter.grad is None:
            if method.may_skip_gradient(name):
                continue
            yield f"{name} is declared to train, it received no gradient"
        elif (parameter.grad - whole[name]).norm().item() > TOLERANCE * norm:
            yield (
                "three accumulated micro-batches must give the gradient of one batch, "
                f"{name} differs"
            )
            break
    # A small gradient may be what rounding left.
    large = {
        name: gradient
        for name, gradient in whole.items()
        if gradient.norm().item() > TOLERANCE * norm
    }
    if prepared.config.precision == "float32" and (
        coarse := [name for name, gradient in large.items() if _fits_bfloat16(gradient)]
    ):
        yield (
            f"the gradient of {coarse[0]} must be of full precision, "
            "each number of it fits bfloat16"
        )
    stray = [
        name
        for name, p in probed.model.named_parameters()
        if not p.requires_grad and p.grad is not None
    ]
    if stray:
        yield f"{stray[0]} is frozen, it received a gradient"
    probed.model.zero_grad()


def _fits_bfloat16(gradient: torch.Tensor) -> bool:
    """Return whether each element fits bfloat16, as one in 65,536 does by chance."""
    numbers = gradient[gradient != 0]
    return (
        gradient.dtype == torch.float32
        and len(numbers) > MIN_ELEMENTS
        and torch.equal(numbers, numbers.bfloat16().float())
    )


def _check_update(prepared: PreparedCase, probed: ProbedModel, before: State) -> Iterator[str]:
    """Check that the first update moves exactly what trains, and that the outputs show it."""
    frozen = {
        name: before[name] for name, p in probed.model.named_parameters() if not p.requires_grad
    }
    if name := first_changed(probed.model, frozen):
        yield f"{name} is frozen, the first update moved it"
    for name, (gradient, change) in probed.record["tensors"].items():
        if gradient > TOLERANCE * probed.record["norm"] and change == 0:
            yield f"{name} has a gradient, the first update left it as it was"
            break
    probed.outputs = class_logits(probed.model, prepared.interface, probed.rows)
    if relative_difference(probed.outputs, probed.base) <= ROUNDING:
        yield (
            "after an update the outputs must not be the base model's, they are: "
            "nothing that trains acts"
        )


def _base_tensor_in(prepared: PreparedCase, model: nn.Module, folder: Path) -> str | None:
    """Return the name of a saved tensor that is a frozen one of the base model."""
    from safetensors.torch import load_file

    expected = prepared.method.checkpoint_parameters(model)
    base = {name: p.detach().cpu() for name, p in model.named_parameters() if name not in expected}
    if not base:
        return None
    for file in sorted(folder.rglob("*.safetensors")):
        for name, saved in load_file(str(file)).items():
            # Constant tensors, such as zeros, may be equal by chance.
            if saved.min() == saved.max():
                continue
            alike = (
                tensor
                for tensor in base.values()
                if tensor.shape == saved.shape and tensor.dtype == saved.dtype
            )
            if any(torch.equal(tensor, saved) for tensor in alike):
                return name
    return None


def _check_checkpoint(prepared: PreparedCase, probed: ProbedModel) -> Iterator[str]:
    """Check that a checkpoint restores the outputs in another model with another new head."""
    with tempfile.TemporaryDirectory() as folder:
        prepared.method.save(probed.model, Path(folder))
        if name := _base_tensor_in(prepared, probed.model, Path(folder)):
            yield f"only what trains must be saved, {name} is a frozen tensor of the base model"
        torch.manual_seed(1)
        try:
            reloaded = prepared.method.restore(prepared.loaded().model, Path(folder))
        except Exception as error:
            raise_if_device(error)
            yield f"what was saved must load again, it raised {type(error).__name__}: {error}"
            return
    if (
        off := relative_difference(
            probed.outputs, class_logits(reloaded, prepared.interface, probed.rows)
        )
    ) > ROUNDING:
        yield f"saved and loaded again, the outputs must be the same, they differ by {off:.2g}"


def _check_merge(prepared: PreparedCase, probed: ProbedModel) -> Iterator[str]:
    try:
        merged = class_logits(
            prepared.method.merge(copy.deepcopy(probed.model)), prepared.interface, probed.rows
        )
    except Exception as error:
        raise_if_device(error)
        yield f"it must merge into its base model, that raised {type(error).__name__}: {error}"
        return
    if (off := relative_difference(probed.outputs, merged)) > TOLERANCE:
        yield f"merged, the outputs must be the unmerged ones, they differ by {off:.2g}"


def check(prepared: PreparedCase) -> tuple[ProbedModel, torch.optim.Optimizer | None, list[str]]:
    """Return the probe after its update, its optimiser, and the broken invariants."""
    return _run_checks(prepared, build_probe(prepared))


def _run_checks(
    prepared: PreparedCase, probed: ProbedModel
) -> tuple[ProbedModel, torch.optim.Optimizer | None, list[str]]:
    """Do `check` on a probe before its update."""
    method, stage = prepared.method, probed.stage
    before = copy_state(probed.model)
    broken = [
        *_check_start(prepared, probed),
        *guarded("evaluation", _check_evaluation(prepared, probed, before)),
        *(_check_head(prepared, probed) if stage is not None else ()),
    ]
    if method.trains and not trainable_parameters(probed.model):
        return probed, None, [*broken, "something must train, no tensor requires a gradient"]
    optimizer = None
    try:
        if stage is not None:
            if not _loss_reaches_trainable(probed.model, stage):
                return (
                    probed,
                    None,
                    [
                        *broken,
                        "something must train, the loss does not depend on what is declared to",
                    ],
                )
            broken += guarded("a gradient", _check_gradients(prepared, probed, stage))
        optimizer = probe_update(prepared, probed)
    except Exception as error:
        return probed, None, [*broken, error_sentence("an update must work", error)]
    if method.trains:
        broken += guarded("evaluation after an update", _check_update(prepared, probed, before))
        broken += guarded("a checkpoint", _check_checkpoint(prepared, probed))
    if method.mergeable:
        broken += _check_merge(prepared, probed)
    return probed, optimizer, broken


def inspect(prepared: PreparedCase) -> tuple[Json, Json, list[str]]:
    """Return the signature, the probe's record and the broken invariants."""
    signature, record, broken = inspect_any_shots(prepared)
    return signature, record, [*broken, *(check_labels(prepared) if prepared.method.trains else ())]


def _probe_with_dropout(prepared: PreparedCase) -> ProbedModel:
    """Return a probe before its update, with dropout's effect on record."""
    probed = build_probe(prepared)
    if probed.stage is not None:
        # For comparison with a baseline; no invariant needs it.
        probed.record["dropout"] = measure_dropout(probed.model, probed.stage)
        # Training mode may have changed buffers.
        probed.outputs = class_logits(probed.model, prepared.interface, probed.rows)
    return probed


def record_probe(prepared: PreparedCase) -> tuple[Json, list[str]]:
    """Return the record that `inspect` gives, and a sentence if the probe's update raises.

    It checks no invariants, which takes half the time.
    """
    probed = _probe_with_dropout(prepared)
    try:
        probe_update(prepared, probed)
    except Exception as error:
        return probed.record, [error_sentence("an update must work", error)]
    return probed.record, []


def inspect_any_shots(prepared: PreparedCase) -> tuple[Json, Json, list[str]]:
    """Do `inspect` without the checks that depend on the case's shots: cases can share it.

    The probe computes in the case's precision. Invariants compute in float32, because they compare
    two ways to compute the same, which bfloat16 rounds differently.
    """
    exact = prepared.in_float32()
    probed = _probe_with_dropout(exact)
    probed, optimizer, broken = _run_checks(exact, probed)
    signature = {"structure": structure(prepared.method, probed.model, optimizer)}
    broken += check_truncation(exact)
    if prepared.method.trains:
        broken += check_row_order(exact)
    if probed.stage is not None and not broken:
        broken += guarded("training", check_adamw(exact, probed.model, probed.stage))
    if exact is prepared or broken:
        return signature, probed.record, broken
    del probed, optimizer
    record, broken = record_probe(prepared)
    return signature, record, broken
