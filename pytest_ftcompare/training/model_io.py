"""The ways of asking a model: a classification head, the language model's head at the verbalizers, or a written answer.

Decoders are padded on the left, so that the last position is the answer's and a mask that is ignored shows; encoders on
the right, as they were trained.
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
from pytest_ftcompare.training.model_kind import Kind, ModelError, accepts, count_positions, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_ftcompare.methods.base import Inputs, OutputMode, Rows
    from pytest_ftcompare.tasks import Task

KEPT = 20_000  # texts whose tokens a worker keeps for its other cases, by model, side of truncation and length
_encoded: defaultdict[tuple[Path, str, int], dict[str, list[int]]] = defaultdict(dict)


@dataclass(frozen=True)
class ModelInterface:
    """Loads the base model for one way of asking, encodes texts, and reads off (rows, classes) logits.

    `length` is the most tokens that the model may read, of which a method's own take `reserved`; `options` are given to
    `from_pretrained`; `precision` is that of the computation.
    """

    path: Path
    output_mode: OutputMode
    task: Task
    length: int
    device: torch.device
    num_virtual_tokens: int = 0
    options: Mapping[str, Any] | None = None
    precision: str = "float32"

    def __post_init__(self) -> None:
        wrong = {
            "head": {"encoder-decoder": "a method that asks by pattern"},
            "pattern": {"encoder": "a method with a classification head, or a decoder"},
            "answer": {"encoder": "a decoder", "encoder-decoder": "a decoder"},
        }
        if use := wrong[self.output_mode].get(self.kind):
            raise ModelError(
                f"expected a model that can be asked by {self.output_mode}, {self.path.name} is {self.config.model_type}, "
                f"an {self.kind}: use {use}"
            )
        if self.max_length < 1:
            raise ModelError(
                f"expected room for text beside the method's {self.num_virtual_tokens} tokens, {self.path.name} has none"
            )

    @cached_property
    def config(self) -> Any:
        return AutoConfig.from_pretrained(self.path)

    @property
    def kind(self) -> Kind:
        return kind_of(self.config)

    @property
    def max_length(self) -> int:
        """The most tokens of a text."""
        whole = (
            int(min(self.length, getattr(self.config, "max_position_embeddings", self.length)))
            - self.num_virtual_tokens
        )
        return whole - self.task.max_new_tokens if self.output_mode == "answer" else whole

    @cached_property
    def tokenizer(self) -> Any:
        tokenizer = AutoTokenizer.from_pretrained(self.path)
        if tokenizer.pad_token is None:
            if tokenizer.eos_token is None:
                raise ModelError(
                    f"expected a tokenizer with a pad token, or an end-of-text token to pad with, that of {self.path.name} has "
                    "neither: name one as pad_token in its tokenizer_config.json"
                )
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = "left" if self.kind == "decoder" else "right"
        tokenizer.truncation_side = "right" if self.output_mode == "head" else "left"
        tokenizer.model_max_length = self.max_length  # its files may say less, or 10^30
        return tokenizer

    @cached_property
    def verbalizers(self) -> list[int]:
        """The token ids that stand for the classes after the pattern."""
        found = []
        for text in self.task.verbalizers:
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            if len(ids) != 1:
                raise ModelError(
                    f"task {self.task.name}: expected a verbalizer of one token, {text!r} is {len(ids)} tokens for "
                    f"{self.path.name}"
                )
            found.append(int(ids[0]))
        return found

    def in_mode(self, output_mode: OutputMode) -> ModelInterface:
        """Another way of asking the same base model about the same task."""
        return replace(self, output_mode=output_mode, num_virtual_tokens=0, options=None)

    def load(self) -> LoadedModel:
        """The base model in float32 on the device; a classification head is new and drawn from torch's generator.

        Its files are read once for all that follows, which gets copies; a quantised one, tied to its device, each time.
        """
        what = (self.path, self.output_mode, self.kind, len(self.task.labels))
        loaded = (
            base_model.read(*what, self._loading()) if self.options else base_model.copied(*what)
        )
        model: Any = loaded.model
        model.config.pad_token_id = self.tokenizer.pad_token_id
        base = getattr(model, model.base_model_prefix, None)
        if (
            self.kind == "decoder"
            and base is not None
            and "position_ids" in inspect.signature(base.forward).parameters
        ):
            base.register_forward_pre_hook(count_positions, with_kwargs=True)
        return LoadedModel(model.to(self.device), loaded.new_parameters)

    def _loading(self) -> dict[str, Any]:
        """What `from_pretrained` is given; transformers would quantise on a GPU wherever there is one."""
        options = dict(self.options or {})
        return options | (
            {"device_map": {"": self.device}} if "quantization_config" in options else {}
        )

    def language_model(self, model: nn.Module) -> nn.Module:
        """`model` with its language model's head: itself, or a wrapper around the same base weights."""
        if self.output_mode != "head":
            return model
        whole = self.in_mode("pattern").load().model
        prefix: Any = whole.base_model_prefix
        setattr(whole, prefix, getattr(model, prefix))
        whole.tie_weights()  # type: ignore[operator]
        embeddings: Any = whole.get_input_embeddings()  # type: ignore[operator]
        head: Any = whole.get_output_embeddings()  # type: ignore[operator]
        if (
            head.weight is not embeddings.weight
        ):  # it is not part of `model`, and goes when the stage is over
            head.requires_grad_(False)
        return whole

    def fits(self, text: str) -> bool:
        """Whether the model can read the whole text."""
        return len(self.tokenizer(text)["input_ids"]) <= self.max_length

    def encode(self, texts: list[str]) -> Rows:
        """Token ids of each text, cut at the model's length on the side that does not carry the answer."""
        tokenizer = self.tokenizer
        known = _encoded[self.path, tokenizer.truncation_side, self.max_length]
        if missing := [text for text in dict.fromkeys(texts) if text not in known]:
            if len(known) + len(missing) > KEPT:
                known.clear()
                missing = list(dict.fromkeys(texts))
            ids = tokenizer(missing, truncation=True, max_length=self.max_length)["input_ids"]
            known.update(zip(missing, ids, strict=True))
        return [list(known[text]) for text in texts]

    def collate(self, rows: Rows) -> Inputs:
        """Pad to the longest row: `input_ids` and `attention_mask`, each (rows, length)."""
        batch = self.tokenizer.pad({"input_ids": rows}, return_tensors="pt")
        return {name: batch[name].to(self.device) for name in ("input_ids", "attention_mask")}

    def inputs(self, inputs: Inputs) -> dict[str, Any]:
        """The batch as the model takes it."""
        found: dict[str, Any] = dict(inputs)
        if self.kind == "encoder-decoder":
            start = torch.full_like(inputs["input_ids"][:, :1], self.config.decoder_start_token_id)
            return found | {"decoder_input_ids": start}
        return found

    def computing(self) -> AbstractContextManager[Any]:
        """In which the model computes: what is safe in a lower precision is done in it, the weights stay float32."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, getattr(torch, self.precision))

    def logits(self, model: nn.Module, inputs: Inputs) -> torch.Tensor:
        """Scores of the classes, (rows, classes); where an answer is to be written, of the whole vocabulary for its start."""
        found = self.inputs(inputs)
        with self.computing():
            if self.output_mode == "head":
                return model(**found).logits  # type: ignore[no-any-return]
            if "logits_to_keep" in accepts(model):
                found["logits_to_keep"] = 1
            scores: torch.Tensor = model(**found, use_cache=False).logits[:, -1]
        return scores[:, self.verbalizers] if self.output_mode == "pattern" else scores
