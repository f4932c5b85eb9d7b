"""Load base models from their files, once for all cases and seeds of a worker.

`model_io.py` calls it. Each caller gets a copy. A copy's new head is drawn from torch's generator
as a fresh load would draw it, so results do not depend on what was loaded before.
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

from pytest_ftcompare.training.finite_weights import check_files, check_loaded
from pytest_ftcompare.training.model_kind import Kind, ModelError

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import OutputMode

# Models in memory per process, chosen: the case's own and one that a stage may need beside it.
# Raising it saves reads and costs memory.
MAX_CACHED_MODELS = 2
# Parts of the names that PEFT gives to tensors of a model with an adapter.
ADAPTED_NAMES = (".base_layer.", ".original_module.", "base_model.model.")
_cache: OrderedDict[tuple[Path, str, int], LoadedModel] = OrderedDict()


@dataclass
class LoadedModel:
    """A base model, and the names of the tensors that its files lack (a new head)."""

    model: nn.Module
    new_parameters: frozenset[str]


def read(
    path: Path, output_mode: OutputMode, kind: Kind, labels: int, options: Mapping[str, Any]
) -> LoadedModel:
    """Load the model at `path` in float32; draw what its files lack from torch's generator.

    A classification head has `labels` classes. `options` go to `from_pretrained`. Files that lack a
    tensor of the base model, or hold those of an adapter, raise `ModelError`.
    """
    auto: Any = AutoModelForSequenceClassification
    arguments: dict[str, Any] = {"num_labels": labels}
    if output_mode != "head":
        auto, arguments = (
            AutoModelForSeq2SeqLM if kind == "encoder-decoder" else AutoModelForCausalLM,
            {},
        )
    model, info = auto.from_pretrained(
        path, dtype=torch.float32, output_loading_info=True, **arguments, **options
    )
    adapted = sorted(
        name
        for name in info["unexpected_keys"]
        if any(part in f".{name}" for part in ADAPTED_NAMES)
    )
    if adapted:
        raise ModelError(
            f"expected plain weights in {path}, {adapted[0]} belongs to a model with an adapter: "
            "merge the adapter with merge_and_unload() and save the model again"
        )
    new = frozenset(info["missing_keys"])
    lost = sorted(
        name
        for name in new
        if output_mode != "head"
        or (name.startswith(f"{model.base_model_prefix}.") and ".pooler." not in name)
    )
    if lost:
        # Seen with tied embeddings saved as lm_head only: loaded without that head, they are
        # random.
        what, use = (
            (" but the head", ", or use output_mode=pattern")
            if output_mode == "head"
            else ("", " from a language model, or use output_mode=head")
        )
        raise ModelError(
            f"expected the files of {path.name} to hold the whole of its "
            f"{type(model).__name__}{what}, they lack {lost[0]}: save the model again with "
            f"save_pretrained{use}"
        )
    return LoadedModel(model, new)


def read_finite(
    path: Path, output_mode: OutputMode, kind: Kind, labels: int, options: Mapping[str, Any]
) -> LoadedModel:
    """Return `read`'s model; numbers that are not finite raise `ModelError`."""
    if "quantization_config" in options:
        # Quantised weights are integers: only the files show what they were.
        check_files(path)
    loaded = read(path, output_mode, kind, labels, options)
    check_loaded(loaded.model, path, loaded.new_parameters)
    return loaded


def copied(path: Path, output_mode: OutputMode, kind: Kind, labels: int) -> LoadedModel:
    """Return a copy of the model on the CPU; draw its new tensors as `read` would draw them now."""
    key = (path, output_mode, labels)
    if key not in _cache:
        with torch.random.fork_rng(devices=[]):
            _cache[key] = read_finite(path, output_mode, kind, labels, {})
        if len(_cache) > MAX_CACHED_MODELS:
            _cache.popitem(last=False)
    _cache.move_to_end(key)
    model: Any = copy.deepcopy(_cache[key].model)
    for name in _cache[key].new_parameters:
        owner, _, tensor = name.rpartition(".")
        module = model.get_submodule(owner)
        module._is_hf_initialized = getattr(module, tensor)._is_hf_initialized = False
    model.initialize_weights()
    return LoadedModel(model, _cache[key].new_parameters)
