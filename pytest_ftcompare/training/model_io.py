"""Access to a base model in an output mode: head, pattern or answer.

`prepare.py` makes a `ModelInterface`; training, evaluation and the checks use it. Decoders are
padded on the left: the last position is the answer's, and an ignored mask shows. Encoders are
padded on the right, as in pretraining.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoConfig, AutoTokenizer

from pytest_ftcompare.training import base_model
from pytest_ftcompare.training.base_model import LoadedModel
from pytest_ftcompare.training.model_kind import (
    Kind,
    ModelError,
    add_position_ids,
    forward_parameters,
    kind_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_ftcompare.methods.base import Inputs, OutputMode, Rows
    from pytest_ftcompare.tasks import Task

# Tokenised texts that a worker keeps per model, truncation side and length, chosen. Raising it
# saves tokenising and costs memory.
MAX_CACHED_TEXTS = 20_000
_encoded: defaultdict[tuple[Path, str, int], dict[str, list[int]]] = defaultdict(dict)


@dataclass(frozen=True)
class ModelInterface:
    """Loads the base model for one output mode, encodes texts, and computes (rows, classes) logits.

    `context_length` is the most tokens that the model may read, `num_virtual_tokens` of them the
    method's. `options` go to `from_pretrained`. `precision` is that of the computation. A model
    that does not support the output mode, or has no room for text, raises `ModelError`.
    """

    path: Path
    output_mode: OutputMode
    task: Task
    context_length: int
    device: torch.device
    num_virtual_tokens: int = 0
    options: Mapping[str, Any] | None = None
    precision: str = "float32"

    def __post_init__(self) -> None:
        unsupported = {
            "head": {"encoder-decoder": "a method with output mode pattern"},
            "pattern": {"encoder": "a method with a classification head, or a decoder"},
            "answer": {"encoder": "a decoder", "encoder-decoder": "a decoder"},
        }
        if use := unsupported[self.output_mode].get(self.model_kind):
            raise ModelError(
                f"expected a model that supports output mode {self.output_mode}, "
                f"{self.path.name} is {self.config.model_type}, an {self.model_kind}: use {use}"
            )
        if self.max_length < 1:
            raise ModelError(
                f"expected room for text beside the method's {self.num_virtual_tokens} tokens, "
                f"{self.path.name} has none: give the method fewer tokens, or raise max_length"
            )

    @cached_property
    def config(self) -> Any:
        return AutoConfig.from_pretrained(self.path)

    @property
    def model_kind(self) -> Kind:
        return kind_of(self.config)

    @property
    def max_length(self) -> int:
        """Return the most tokens that a text may have."""
        whole = (
            int(
                min(
                    self.context_length,
                    getattr(self.config, "max_position_embeddings", self.context_length),
                )
            )
            - self.num_virtual_tokens
        )
        return whole - self.task.max_new_tokens if self.output_mode == "answer" else whole

    @cached_property
    def tokenizer(self) -> Any:
        tokenizer = AutoTokenizer.from_pretrained(self.path)
        if tokenizer.pad_token is None:
            if tokenizer.eos_token is None:
                raise ModelError(
                    f"expected a tokenizer with a pad token, or an end-of-text token to pad with, "
                    f"that of {self.path.name} has neither: name one as pad_token in its "
                    "tokenizer_config.json"
                )
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = "left" if self.model_kind == "decoder" else "right"
        tokenizer.truncation_side = "right" if self.output_mode == "head" else "left"
        # The tokenizer's files may state less, or 10^30.
        tokenizer.model_max_length = self.max_length
        return tokenizer

    @cached_property
    def verbalizers(self) -> list[int]:
        """Return each class's token id; a verbalizer of several tokens raises `ModelError`."""
        token_ids = []
        for text in self.task.verbalizers:
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            if len(ids) != 1:
                raise ModelError(
                    f"task {self.task.name}: expected a verbalizer of one token, {text!r} is "
                    f"{len(ids)} tokens for {self.path.name}"
                )
            token_ids.append(int(ids[0]))
        return token_ids

    def in_mode(self, output_mode: OutputMode) -> ModelInterface:
        """Return the interface to the same base model and task in another output mode."""
        return replace(self, output_mode=output_mode, num_virtual_tokens=0, options=None)

    @property
    def base_model_key(self) -> tuple[Path, OutputMode, Kind, int]:
        """Return what `base_model.read` needs besides options."""
        return self.path, self.output_mode, self.model_kind, len(self.task.labels)

    def load(self) -> LoadedModel:
        """Load the base model in float32 on the device; draw a new head from torch's generator.

        Files are read once per worker, and callers get copies. A quantised model belongs to its
        device and is read each time.
        """
        loaded = (
            base_model.read_finite(*self.base_model_key, self._load_options())
            if self.options
            else base_model.copied(*self.base_model_key)
        )
        model: Any = loaded.model
        model.config.pad_token_id = self.tokenizer.pad_token_id
        base = getattr(model, model.base_model_prefix, None)
        if (
            self.model_kind == "decoder"
            and base is not None
            and "position_ids" in inspect.signature(base.forward).parameters
        ):
            base.register_forward_pre_hook(add_position_ids, with_kwargs=True)
        return LoadedModel(model.to(self.device), loaded.new_parameters)

    def _load_options(self) -> dict[str, Any]:
        """Return the options for `from_pretrained`, with the device of a quantised model."""
        options = dict(self.options or {})
        # Without a device map, transformers quantises on a GPU if there is one.
        return options | (
            {"device_map": {"": self.device}} if "quantization_config" in options else {}
        )

    def language_model(self, model: nn.Module) -> nn.Module:
        """Return `model` with a language model's head: itself, or a wrapper of its base weights."""
        if self.output_mode != "head":
            return model
        whole = self.in_mode("pattern").load().model
        prefix: Any = whole.base_model_prefix
        setattr(whole, prefix, getattr(model, prefix))
        whole.tie_weights()  # type: ignore[operator]
        embeddings: Any = whole.get_input_embeddings()  # type: ignore[operator]
        head: Any = whole.get_output_embeddings()  # type: ignore[operator]
        if head.weight is not embeddings.weight:
            # This head is not part of `model`, and is dropped after the stage.
            head.requires_grad_(False)
        return whole

    def fits(self, text: str) -> bool:
        """Return whether the model can read the whole text."""
        return len(self.tokenizer(text)["input_ids"]) <= self.max_length

    def encode(self, texts: list[str]) -> Rows:
        """Return token ids of each text, truncated on the side that does not carry the answer."""
        tokenizer = self.tokenizer
        cached = _encoded[self.path, tokenizer.truncation_side, self.max_length]
        if missing := [text for text in dict.fromkeys(texts) if text not in cached]:
            if len(cached) + len(missing) > MAX_CACHED_TEXTS:
                cached.clear()
                missing = list(dict.fromkeys(texts))
            ids = tokenizer(missing, truncation=True, max_length=self.max_length)["input_ids"]
            cached.update(zip(missing, ids, strict=True))
        return [list(cached[text]) for text in texts]

    def collate(self, rows: Rows) -> Inputs:
        """Pad to the longest row: `input_ids` and `attention_mask`, each (rows, length)."""
        batch = self.tokenizer.pad({"input_ids": rows}, return_tensors="pt")
        return {name: batch[name].to(self.device) for name in ("input_ids", "attention_mask")}

    def model_inputs(self, inputs: Inputs) -> dict[str, Any]:
        """Return the batch as keyword arguments of the model's forward."""
        arguments: dict[str, Any] = dict(inputs)
        if self.model_kind == "encoder-decoder":
            start = torch.full_like(inputs["input_ids"][:, :1], self.config.decoder_start_token_id)
            return arguments | {"decoder_input_ids": start}
        return arguments

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which the model computes; weights stay float32."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, getattr(torch, self.precision))

    def logits(self, model: nn.Module, inputs: Inputs) -> torch.Tensor:
        """Compute class scores, (rows, classes).

        In output mode answer: scores of the whole vocabulary for the answer's first token.
        """
        arguments = self.model_inputs(inputs)
        with self.autocast():
            if self.output_mode == "head":
                return model(**arguments).logits  # type: ignore[no-any-return]
            if "logits_to_keep" in forward_parameters(model):
                arguments["logits_to_keep"] = 1
            scores: torch.Tensor = model(**arguments, use_cache=False).logits[:, -1]
        return scores[:, self.verbalizers] if self.output_mode == "pattern" else scores
