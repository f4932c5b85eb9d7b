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

from pytest_ftcompare.training.model_kind import Kind, ModelError

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import OutputMode

# Models in memory per process, chosen: the case's own and one that a stage may need beside it.
# Raising it saves reads and costs memory.
MAX_CACHED_MODELS = 2
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
    tensor of the base model raise `ModelError`.
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
    new = frozenset(info["missing_keys"])
    lost = sorted(
        name
        for name in new
        if name.startswith(f"{model.base_model_prefix}.") and ".pooler." not in name
    )
    if lost:
        # Seen with tied embeddings saved as lm_head only: loaded without that head, they are
        # random.
        raise ModelError(
            f"expected the files of {path.name} to hold the whole of its "
            f"{type(model).__name__} but the head, they lack {lost[0]}: save the model again with "
            "save_pretrained, or use output_mode=pattern"
        )
    return LoadedModel(model, new)


def copied(path: Path, output_mode: OutputMode, kind: Kind, labels: int) -> LoadedModel:
    """Return a copy of the model on the CPU; draw its new tensors as `read` would draw them now."""
    key = (path, output_mode, labels)
    if key not in _cache:
        with torch.random.fork_rng(devices=[]):
            _cache[key] = read(path, output_mode, kind, labels, {})
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
