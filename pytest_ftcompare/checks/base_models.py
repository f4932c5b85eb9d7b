"""Check a base model as the library loads it, beside the copy that cases train.

suites/test_base_models.py calls `check_base_model`. The project reads each model once and copies
it, so no case would show what `from_pretrained` leaves in a fresh model.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from pytest_ftcompare.checks.dequantised import dequantised, four_bit_layers
from pytest_ftcompare.checks.errors import guarded
from pytest_ftcompare.checks.invariants import TOLERANCE, relative_difference
from pytest_ftcompare.checks.probe import ROWS_PER_CLASS
from pytest_ftcompare.training import base_model
from pytest_ftcompare.training.base_model import LoadedModel
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.model_io import ModelInterface
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed

# Factor between the size of a new tensor and the config's. Chosen: of 64 normal numbers, 3 draws in
# 100,000 are beyond it (chi-squared). Raising it hides a wrong scale.
MAX_SIZE_RATIO = 1.5
# Largest error of rounding to NF4 with blocks of 64, relative to the weights' root mean square.
# Normal weights give 0.09 (seen); chosen with room for others. Raising it hides wrong scales.
MAX_ROUNDING_ERROR = 0.12


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return dict((*model.named_parameters(), *model.named_buffers()))


def _size(tensor: torch.Tensor) -> float:
    """Return the root mean square."""
    return tensor.float().pow(2).mean().sqrt().item()


def _check_loaded(fresh: nn.Module) -> Iterator[str]:
    for name, tensor in _tensors(fresh).items():
        if tensor.is_meta:
            yield f"loaded, {name} must have numbers, it was left on the meta device"
        elif tensor.is_floating_point() and not tensor.isfinite().all():
            yield f"loaded, {name} must be finite, it is not"


def _check_copy(fresh: nn.Module, copied: nn.Module) -> Iterator[str]:
    expected, tensors = _tensors(fresh), _tensors(copied)
    if odd := sorted(expected.keys() ^ tensors.keys()):
        yield f"loaded and copied, a model must have the same tensors, {odd[0]} is in only one"
    for name in expected.keys() & tensors.keys():
        if not torch.equal(expected[name], tensors[name]):
            yield f"loaded and copied, a model must have the same numbers, {name} differs"
            return


def _check_file(fresh: Any, folder: Path) -> Iterator[str]:
    """Check that the model has the file's numbers; a head of another kind may be left out."""
    parameters, prefix = dict(fresh.named_parameters()), f"{fresh.base_model_prefix}."
    for name, tensor in load_file(str(folder / "model.safetensors")).items():
        names = (name, f"{prefix}{name}", name.removeprefix(prefix))
        loaded = next((parameters[each] for each in names if each in parameters), None)
        if loaded is not None and not torch.equal(loaded, tensor):
            yield f"loaded, {name} must be the file's, it is not"


def _check_second_draw(first: LoadedModel, second: LoadedModel) -> Iterator[str]:
    """Check that another seed gives another head."""
    for name in sorted(first.new_parameters):
        drawn, again = first.model.get_parameter(name), second.model.get_parameter(name)
        if drawn.dim() > 1 and torch.equal(drawn, again):
            yield f"loaded with another seed, the new {name} must be drawn anew, it is the same"


def _check_config(fresh: Any, new_parameters: frozenset[str]) -> Iterator[str]:
    """Check buffers and new tensors against a model that is made from the config alone."""
    made = type(fresh)(fresh.config)
    buffers = dict(made.named_buffers())
    for name, buffer in fresh.named_buffers():
        if name not in buffers or not torch.equal(buffer, buffers[name]):
            yield f"loaded, the buffer {name} must be what the config says, it is not"
    parameters = dict(fresh.named_parameters())
    for name in sorted(new_parameters & parameters.keys()):
        # OPT's name for it is another.
        scale: float = getattr(fresh.config, "initializer_range", None) or fresh.config.init_std
        size, expected = _size(parameters[name]), scale if parameters[name].dim() > 1 else 0.0
        too_small, too_large = size * MAX_SIZE_RATIO < expected, size > expected * MAX_SIZE_RATIO
        if too_small or too_large:
            yield (
                f"loaded, the new {name} must be drawn at the config's scale, "
                f"root mean square {expected:.2g}, it has {size:.2g}"
            )


def check_base_model(interface: ModelInterface) -> list[str]:
    """Return what is wrong with a base model that the library has just loaded."""
    torch.manual_seed(0)
    fresh = base_model.read(*interface.base_model_key, {})
    if broken := list(_check_loaded(fresh.model)):
        return broken
    torch.manual_seed(0)
    copied = interface.load().model
    torch.manual_seed(1)
    again = base_model.read(*interface.base_model_key, {})
    broken = [
        *_check_copy(fresh.model, copied),
        *_check_file(fresh.model, interface.path),
        *_check_config(fresh.model, fresh.new_parameters),
        *_check_second_draw(fresh, again),
        *_check_config(again.model, again.new_parameters),
    ]
    return [*dict.fromkeys(broken)]


def check_quantised_base_model(prepared: PreparedCase) -> list[str]:
    """Return what is wrong with a base model that bitsandbytes has just put into four bits.

    The project changes how its layers evaluate (docs/architecture.md), so that their outputs are
    compared with those of plain layers.
    """
    return list(guarded("a base model in four bits", _check_quantised(prepared)))


def _check_quantised(prepared: PreparedCase) -> Iterator[str]:
    loaded = prepared.loaded().model
    plain = dequantised(loaded)
    torch.manual_seed(0)
    fresh = base_model.read(*prepared.interface.base_model_key, {}).model
    layers = four_bit_layers(loaded)
    if not layers:
        yield "in four bits, a base model must have 4-bit layers, it has none"
    errors = {}
    for name in layers:
        weight = plain.get_parameter(f"{name}.weight").detach()
        original = fresh.get_parameter(f"{name}.weight").detach()
        if isinstance(fresh.get_submodule(name), Conv1D):
            original = original.T
        errors[name] = _size(weight - original) / _size(original)
    wrong = [name for name, error in errors.items() if error > MAX_ROUNDING_ERROR]
    if wrong:
        yield (
            "in four bits, a weight must be the file's up to rounding, "
            f"{len(wrong)} of {len(errors)} are not, {wrong[0]} differs by "
            f"{errors[wrong[0]]:.2g} of its size"
        )
    rows = PreparedSeed(prepared, 0, ROWS_PER_CLASS).rows
    outputs = [class_logits(model, prepared.interface, rows) for model in (loaded, plain)]
    if (off := relative_difference(*outputs)) > TOLERANCE:
        yield (
            "in four bits, evaluation must compute with the weights that the layers stand for, "
            f"the outputs differ by {off:.2g}"
        )
