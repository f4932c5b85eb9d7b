"""Check that a hot-swapped adapter acts as it does alone.

suites/test_peft_options.py calls `check_hotswapping` on tiny models. PEFT puts the saved adapter's
weights in the place of a loaded one's, so that a compiled model is not compiled again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any

import torch
from peft import PeftModel
from peft.utils.hotswap import hotswap_adapter, prepare_model_for_compiled_hotswap
from torch import nn

from pytest_ftcompare.checks.adapter_lifecycle import FIRST
from pytest_ftcompare.checks.errors import error_sentence
from pytest_ftcompare.checks.invariants import ROUNDING, relative_difference
from pytest_ftcompare.checks.peft_options import (
    OPTIONS,
    RANK,
    Changed,
    PeftOption,
    nothing,
    with_option,
)
from pytest_ftcompare.checks.probe import ROWS_PER_CLASS, fill
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import trainable_parameters


def _other_scale(config: Any, model: nn.Module) -> None:
    config.lora_alpha = 2 * config.lora_alpha


def _other_rank(config: Any, model: nn.Module) -> None:
    config.r = RANK


# How the replaced adapter differs from the new one.
SWAPPED_OUT: Mapping[str, Changed] = {
    "equal shape": nothing,
    "another scale": _other_scale,
    "another rank": _other_rank,
}


def _swapped(case: PreparedCase, change: Changed, folder: str, *, merged: bool) -> Any:
    """Return another adapter's model with the saved adapter in its place, as PEFT documents it."""
    # A new head starts as the first adapter's.
    torch.manual_seed(0)
    model: Any = with_option(case, PeftOption(change)).adapted()
    if change is _other_rank:
        prepare_model_for_compiled_hotswap(model, target_rank=2 * RANK)
    if merged:
        model.merge_adapter()
    hotswap_adapter(model, folder, FIRST)
    return model


def check_hotswapping(prepared: PreparedCase, name: str | None) -> tuple[list[str], set[str]]:
    """Return how a hot-swapped adapter acts otherwise than alone, and which swaps are refused.

    It must also act when it is saved again and loaded, and in the place of an adapter that is
    merged. `name` is an option, or None for the method's own config.
    """
    case = prepared if name is None else with_option(prepared, OPTIONS[name])
    rows = PreparedSeed(case, 0, ROWS_PER_CLASS).rows
    torch.manual_seed(0)
    model: Any = case.adapted()
    fill(model, {*trainable_parameters(model)})
    expected = class_logits(model, case.interface, rows)
    broken: list[str] = []
    refused: set[str] = set()

    def compare(swap: str, other: nn.Module) -> None:
        off = relative_difference(expected, class_logits(other, case.interface, rows))
        if off > ROUNDING:
            broken.append(f"{swap}, an adapter must keep its outputs, they differ by {off:.2g}")

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        for difference, change in SWAPPED_OUT.items():
            for merged in (False, True):
                swap = f"hot-swapped for an adapter of {difference}"
                swap += " that is merged" if merged else ""
                try:
                    swapped = _swapped(case, change, folder, merged=merged)
                except (ValueError, NotImplementedError):
                    refused.add(swap)
                    continue
                except Exception as error:
                    promise = f"{swap}, an adapter must be taken or refused"
                    broken.append(error_sentence(promise, error))
                    continue
                compare(swap, swapped)
                if merged:
                    continue
                try:
                    again = _saved_and_loaded(case, swapped)
                except Exception as error:
                    promise = f"{swap}, saved and loaded, an adapter must load"
                    broken.append(error_sentence(promise, error))
                    continue
                compare(f"{swap}, saved and loaded", again)
    return broken, refused


def _saved_and_loaded(case: PreparedCase, model: Any) -> nn.Module:
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        torch.manual_seed(0)
        base: Any = case.loaded().model
        loaded: nn.Module = PeftModel.from_pretrained(base, folder)
    return loaded
