"""Base models: read from their files once for a worker's many cases and seeds, each of which gets a copy.

A new head is drawn anew for each copy, from the numbers that a fresh load would draw, so that nothing depends on what was read
before.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
)

from pytest_ftcompare.training.model_kind import Kind, ModelError

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import OutputMode

KEPT = 2  # models of a process: a case's own, and what a stage of it may need beside
_kept: OrderedDict[tuple[Path, str, int], LoadedModel] = OrderedDict()


@dataclass
class LoadedModel:
    """A base model ready for use and the names of the tensors that its files did not hold (a new head)."""

    model: nn.Module
    new_parameters: frozenset[str]


def read(
    path: Path, output_mode: OutputMode, kind: Kind, labels: int, options: Mapping[str, Any]
) -> LoadedModel:
    """Load the model at `path` in float32; what its files lack is drawn from torch's generator.

    A classification head has so many `labels`; `options` are given to `from_pretrained`.
    """
    auto: Any = AutoModelForSequenceClassification
    wanted: dict[str, Any] = {"num_labels": labels}
    if output_mode != "head":
        auto, wanted = (
            AutoModelForSeq2SeqLM if kind == "encoder-decoder" else AutoModelForCausalLM,
            {},
        )
    model, info = auto.from_pretrained(
        path, dtype=torch.float32, output_loading_info=True, **wanted, **options
    )
    new = frozenset(info["missing_keys"])
    lost = sorted(
        name
        for name in new
        if name.startswith(f"{model.base_model_prefix}.") and ".pooler." not in name
    )
    if lost:
        # Seen with tied embeddings saved as lm_head only: without that head they load as random numbers.
        raise ModelError(
            f"expected the files of {path.name} to hold the whole of its {type(model).__name__} but the head, they "
            f"lack {lost[0]}: save it again with save_pretrained, or ask it by pattern"
        )
    return LoadedModel(model, new)


def copied(path: Path, output_mode: OutputMode, kind: Kind, labels: int) -> LoadedModel:
    """Copy the model as `read` gives it, on the CPU; what is new in it is drawn as `read` would draw it now."""
    key = (path, output_mode, labels)
    if key not in _kept:
        with torch.random.fork_rng(devices=[]):
            _kept[key] = read(path, output_mode, kind, labels, {})
        if len(_kept) > KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    model: Any = copy.deepcopy(_kept[key].model)
    for name in _kept[key].new_parameters:
        owner, _, tensor = name.rpartition(".")
        module = model.get_submodule(owner)
        module._is_hf_initialized = getattr(module, tensor)._is_hf_initialized = False
    model.initialize_weights()
    return LoadedModel(model, _kept[key].new_parameters)
