"""Refuse a base model with numbers that are not finite.

`base_model.py` calls `check_loaded` on each model that it reads; `gate/check_project.py` calls
`check_files`, which needs memory for one tensor only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from pytest_ftcompare.training.model_kind import ModelError


def _not_finite(tensor: torch.Tensor, *, may_be_infinite: bool) -> str:
    """Return "NaN", "an infinite number", or "" if the tensor has neither.

    `aminmax` returns NaN if any number is NaN, and needs no second tensor as `isfinite` does.
    """
    if tensor.is_meta or not tensor.is_floating_point() or not tensor.numel():
        return ""
    try:
        # torch has no aminmax for numbers of one byte.
        ends = torch.stack(torch.aminmax(tensor.float() if tensor.itemsize == 1 else tensor))
    except NotImplementedError:
        # Packed numbers of less than a byte, which torch cannot compare.
        return ""
    if ends.isnan().any():
        return "NaN"
    return "" if may_be_infinite or ends.isfinite().all() else "an infinite number"


def check_loaded(model: nn.Module, path: Path, new_parameters: Collection[str]) -> None:
    """Raise `ModelError` if the model loaded from `path` has a number that is not finite.

    A buffer may be infinite: masks are, and the bounds of layers that clip. NaN is never meant.
    `new_parameters` are not in the files.
    """
    tensors: list[tuple[str, torch.Tensor, bool]] = [
        (name, tensor, False) for name, tensor in model.named_parameters()
    ]
    tensors += [(name, tensor, True) for name, tensor in model.named_buffers()]
    for name, tensor, is_buffer in tensors:
        if number := _not_finite(tensor.detach(), may_be_infinite=is_buffer):
            in_files = name in model.state_dict() and name not in new_parameters
            advice = (
                "fetch the model again, or save it again from weights that are finite"
                if in_files
                else "its files do not have this tensor, so use another version of transformers"
            )
            raise ModelError(
                f"expected finite numbers in the model {path}, {name} has {number}: {advice}"
            )


@cache
def check_files(path: Path) -> None:
    """Raise `ModelError` if a weights file of the model has a number that is not finite.

    transformers' names of weights files are read: safetensors, or else PyTorch's own. The files do
    not say which tensors are buffers. Only a weight or bias must not be infinite here.
    """
    files = sorted(path.glob("model*.safetensors")) or sorted(path.glob("pytorch_model*.bin"))
    for file in files:
        try:
            for name, tensor in _tensors(file):
                is_parameter = name.endswith((".weight", ".bias"))
                if number := _not_finite(tensor, may_be_infinite=not is_parameter):
                    raise ModelError(
                        f"expected finite numbers in {file}, {name} has {number}: fetch the "
                        "model again, or save it again from weights that are finite"
                    )
        except (OSError, SafetensorError) as error:
            raise ModelError(
                f"expected tensors in {file}, it cannot be read ({error}): fetch the model again"
            ) from None


def _tensors(file: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the file's tensors by name, one at a time in memory."""
    if file.suffix == ".safetensors":
        with safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118
                yield name, opened.get_tensor(name)
        return
    # Files of torch before 1.6 are no zip files and cannot be mapped.
    mapped = is_zipfile(file)
    try:
        tensors = torch.load(file, map_location="cpu", mmap=mapped, weights_only=True)
    except Exception as error:
        # torch raises errors of any kind for a damaged file.
        raise OSError(f"{type(error).__name__}: {error}") from error
    yield from tensors.items()
