"""Invariants of peft's adapters: off is the base model, merged and back is what it was, of several the active one acts.

They are the library's promises to everyone who keeps one base model for many adapters; a case of the gate uses none of them.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from pytest_ftcompare.checks.invariants import ROUNDING, TOLERANCE, relative_difference
from pytest_ftcompare.checks.probe import ProbedModel
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepare import PreparedCase

OutputsOf = Callable[[nn.Module], torch.Tensor]


def _check_disabled(
    model: Any, outputs: OutputsOf, base: torch.Tensor, on: torch.Tensor
) -> Iterator[str]:
    try:
        with model.disable_adapter():
            off = outputs(model)
    except Exception as error:
        yield f"its adapter must be there to disable, that raised {type(error).__name__}: {error}"
        return
    if (by := relative_difference(base, off)) > TOLERANCE:
        yield f"with its adapter disabled the outputs must be the base model's, they differ by {by:.2g}"
    if (by := relative_difference(on, outputs(model))) > ROUNDING:
        yield f"with its adapter enabled again the outputs must be what they were, they differ by {by:.2g}"


def _check_unload(model: Any, outputs: OutputsOf, base: torch.Tensor | None) -> Iterator[str]:
    """What is left is a plain model; `base` are its outputs, None where peft leaves a trained head in it."""
    model = copy.deepcopy(model)
    try:
        left = model.unload()
    except Exception as error:
        yield f"unload must leave a plain model, it raised {type(error).__name__}: {error}"
        return
    for name, module in left.named_modules():
        if type(module).__module__.startswith("peft."):
            yield f"unload must leave a plain model, its {name} is a {type(module).__name__} of peft's"
            break
    if base is not None and (by := relative_difference(base, outputs(left))) > TOLERANCE:
        yield f"unloaded, the outputs must be the base model's, they differ by {by:.2g}"


def _check_merge_in_place(model: Any, outputs: OutputsOf, on: torch.Tensor) -> Iterator[str]:
    """In a copy, as rounding stays in the weights."""
    model = copy.deepcopy(model)
    for what in ("merge_adapter", "unmerge_adapter"):
        getattr(model, what)()
        if (by := relative_difference(on, outputs(model))) > TOLERANCE:
            yield f"after {what} the outputs must be what they were, they differ by {by:.2g}"


def _check_second_adapter(model: Any, outputs: OutputsOf, on: torch.Tensor) -> Iterator[str]:
    """The adapter, saved, loaded beside itself as another, which is then made different."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        try:
            model.load_adapter(folder, "other")
        except Exception as error:
            yield f"its adapter must load beside itself under another name, that raised {type(error).__name__}: {error}"
            return
    if (by := relative_difference(on, outputs(model))) > ROUNDING:
        yield f"a second adapter that is not active must not change the outputs, they differ by {by:.2g}"
        return
    model.set_adapter("other")
    if (by := relative_difference(on, outputs(model))) > ROUNDING:
        yield f"loaded under another name and active, the adapter must give the same outputs, they differ by {by:.2g}"
        return
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "other" in name.split("."):
                parameter.add_(
                    torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)) * 0.1
                )
    if torch.equal(on, outputs(model)):
        yield "the second adapter is active and different, the outputs are the first's"
    model.set_adapter("default")
    if (by := relative_difference(on, outputs(model))) > ROUNDING:
        yield f"active again, the first adapter must give what it gave, the outputs differ by {by:.2g}"
    try:
        model.delete_adapter("other")
    except Exception as error:
        yield f"its second adapter must be there to delete, that raised {type(error).__name__}: {error}"
        return
    if (by := relative_difference(on, outputs(model))) > ROUNDING:
        yield f"with the second adapter deleted the first must give what it gave, the outputs differ by {by:.2g}"


def check_adapters(prepared: PreparedCase, probed: ProbedModel) -> Iterator[str]:
    """What is broken of the adapter in `probed`'s model, which has done its update; nothing where there is none of peft's."""
    from peft import PeftModel

    model = probed.model
    if not isinstance(model, PeftModel):
        return

    def outputs(of: nn.Module) -> torch.Tensor:
        return class_logits(of, prepared.interface, probed.rows)

    yield from _check_disabled(model, outputs, probed.base, probed.outputs)
    if prepared.method.mergeable:
        yield from _check_unload(
            model, outputs, None if prepared.interface.output_mode == "head" else probed.base
        )
        yield from _check_merge_in_place(model, outputs, probed.outputs)
    yield from _check_second_adapter(model, outputs, probed.outputs)
