"""Check invariants of PEFT's adapters: disable, unload, merge in place, a second adapter.

`slow_invariants.py` calls `check_adapters`. PEFT promises these to users who keep one base model
for many adapters; the gate's cases use none of them.
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
    model: Any, outputs: OutputsOf, base: torch.Tensor, enabled: torch.Tensor
) -> Iterator[str]:
    try:
        with model.disable_adapter():
            disabled = outputs(model)
    except Exception as error:
        yield f"its adapter must be there to disable, that raised {type(error).__name__}: {error}"
        return
    if (off := relative_difference(base, disabled)) > TOLERANCE:
        yield (
            "with its adapter disabled the outputs must be the base model's, "
            f"they differ by {off:.2g}"
        )
    if (off := relative_difference(enabled, outputs(model))) > ROUNDING:
        yield (
            "with its adapter enabled again the outputs must be what they were, "
            f"they differ by {off:.2g}"
        )


def _check_unload(model: Any, outputs: OutputsOf, base: torch.Tensor | None) -> Iterator[str]:
    """Check that `unload` leaves the base model; `base` is None if a trained head stays in it."""
    model = copy.deepcopy(model)
    try:
        unloaded = model.unload()
    except Exception as error:
        yield f"unload must leave a plain model, it raised {type(error).__name__}: {error}"
        return
    for name, module in unloaded.named_modules():
        if type(module).__module__.startswith("peft."):
            yield (
                "unload must leave a plain model, "
                f"its {name} is a {type(module).__name__} of peft's"
            )
            break
    if base is not None and (off := relative_difference(base, outputs(unloaded))) > TOLERANCE:
        yield f"unloaded, the outputs must be the base model's, they differ by {off:.2g}"


def _check_merge_in_place(model: Any, outputs: OutputsOf, expected: torch.Tensor) -> Iterator[str]:
    """Check that merging and unmerging in place keep the outputs."""
    # Rounding stays in the weights.
    model = copy.deepcopy(model)
    for operation in ("merge_adapter", "unmerge_adapter"):
        getattr(model, operation)()
        if (off := relative_difference(expected, outputs(model))) > TOLERANCE:
            yield f"after {operation} the outputs must be what they were, they differ by {off:.2g}"


def _check_second_adapter(model: Any, outputs: OutputsOf, expected: torch.Tensor) -> Iterator[str]:
    """Check two adapters: a saved copy is loaded as a second one, and then changed."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        try:
            model.load_adapter(folder, "other")
        except Exception as error:
            yield (
                "its adapter must load beside itself under another name, "
                f"that raised {type(error).__name__}: {error}"
            )
            return
    if (off := relative_difference(expected, outputs(model))) > ROUNDING:
        yield (
            "a second adapter that is not active must not change the outputs, "
            f"they differ by {off:.2g}"
        )
        return
    model.set_adapter("other")
    if (off := relative_difference(expected, outputs(model))) > ROUNDING:
        yield (
            "loaded under another name and active, the adapter must give the same outputs, "
            f"they differ by {off:.2g}"
        )
        return
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "other" in name.split("."):
                parameter.add_(
                    torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)) * 0.1
                )
    if torch.equal(expected, outputs(model)):
        yield "the second adapter is active and different, the outputs are the first's"
    model.set_adapter("default")
    if (off := relative_difference(expected, outputs(model))) > ROUNDING:
        yield (
            "active again, the first adapter must give what it gave, "
            f"the outputs differ by {off:.2g}"
        )
    try:
        model.delete_adapter("other")
    except Exception as error:
        yield (
            "its second adapter must be there to delete, "
            f"that raised {type(error).__name__}: {error}"
        )
        return
    if (off := relative_difference(expected, outputs(model))) > ROUNDING:
        yield (
            "with the second adapter deleted the first must give what it gave, "
            f"the outputs differ by {off:.2g}"
        )


def check_adapters(prepared: PreparedCase, probed: ProbedModel) -> Iterator[str]:
    """Yield the broken invariants of a PEFT model after its update; none for other models."""
    from peft import PeftModel

    model = probed.model
    if not isinstance(model, PeftModel):
        return

    def outputs(tested: nn.Module) -> torch.Tensor:
        return class_logits(tested, prepared.interface, probed.rows)

    yield from _check_disabled(model, outputs, probed.base, probed.outputs)
    if prepared.method.mergeable:
        yield from _check_unload(
            model, outputs, None if prepared.interface.output_mode == "head" else probed.base
        )
        yield from _check_merge_in_place(model, outputs, probed.outputs)
    yield from _check_second_adapter(model, outputs, probed.outputs)
