"""The two ways of asking a model for a class: a classification head, or the language model's head at the verbalizers.

Decoders are padded on the left, so that the last position is the answer's and a mask that is ignored shows; encoders on
the right, as they were trained.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

if TYPE_CHECKING:
    from methods.base import Ask
    from pytest_ftcompare.tasks import Task

Inputs = dict[str, torch.Tensor]


class ModelError(ValueError):
    """A base model cannot be asked in this way; the message says why."""


def _is_encoder(config: Any) -> bool:
    """BERT-style models read in both directions and have no causal language-model head worth asking."""
    return not any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in config.architectures or ())


@dataclass
class Loaded:
    """A freshly loaded base model and the names of the tensors that its files did not hold (a new head)."""

    model: nn.Module
    new: frozenset[str]


class Questioner:
    """Loads the base model for one way of asking, encodes texts, and reads off (rows, classes) logits."""

    def __init__(self, path: Path, ask: Ask, task: Task, max_length: int, device: torch.device) -> None:
        self.path, self.ask, self.task, self.device = path, ask, task, device
        config = AutoConfig.from_pretrained(path)
        self.encoder = _is_encoder(config)
        if ask == "pattern" and self.encoder:
            raise ModelError(
                f"expected a causal language model to ask by pattern, {path.name} is {config.model_type}: "
                "use a method with a classification head, or a decoder"
            )
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.tokenizer.padding_side = "right" if self.encoder else "left"
        self.tokenizer.truncation_side = "right" if ask == "head" else "left"
        self.max_length = min(max_length, getattr(config, "max_position_embeddings", max_length))
        self.tokenizer.model_max_length = self.max_length  # its files may say less, or 10^30
        self.verbalizers = [self._verbalizer(text) for text in task.verbalizers] if ask == "pattern" else []
        self.parameters: frozenset[str] | None = None

    def _verbalizer(self, text: str) -> int:
        """The token id that stands for a class after the pattern."""
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) != 1:
            raise ModelError(
                f"task {self.task.name}: expected a verbalizer of one token, {text!r} is {len(ids)} tokens for {self.path.name}"
            )
        return int(ids[0])

    def load(self) -> Loaded:
        """The base model in float32 on the device; a classification head is new and drawn from torch's generator."""
        if self.ask == "pattern":
            kind: Any = AutoModelForCausalLM
            wanted = {}
        else:
            kind = AutoModelForSequenceClassification
            wanted = {"num_labels": len(self.task.labels)}
        model, info = kind.from_pretrained(self.path, dtype=torch.float32, output_loading_info=True, **wanted)
        new = frozenset(info["missing_keys"])
        lost = sorted(name for name in new if name.startswith(f"{model.base_model_prefix}.") and ".pooler." not in name)
        if lost:
            # Seen with tied embeddings saved as lm_head only: without that head they load as random numbers.
            raise ModelError(
                f"expected the files of {self.path.name} to hold the whole of its {type(model).__name__} but the head, they "
                f"lack {lost[0]}: save it again with save_pretrained, or ask it by pattern"
            )
        model.config.pad_token_id = self.tokenizer.pad_token_id
        self.parameters = frozenset(inspect.signature(model.forward).parameters)
        return Loaded(model.to(self.device), new)

    def fits(self, text: str) -> bool:
        """Whether the model can read the whole text."""
        return len(self.tokenizer(text)["input_ids"]) <= self.max_length

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, cut at the model's length on the side that does not carry the answer."""
        ids: list[list[int]] = self.tokenizer(texts, truncation=True, max_length=self.max_length)["input_ids"]
        return ids

    def collate(self, rows: list[list[int]]) -> Inputs:
        """Pad to the longest row: `input_ids` and `attention_mask`, each (rows, length)."""
        batch = self.tokenizer.pad({"input_ids": rows}, return_tensors="pt")
        return {name: batch[name].to(self.device) for name in ("input_ids", "attention_mask")}

    def logits(self, model: nn.Module, inputs: Inputs) -> torch.Tensor:
        """Scores of the classes, (rows, classes)."""
        inputs = dict(inputs)
        assert self.parameters is not None
        if not self.encoder and "position_ids" in self.parameters:
            # Explicit, because not every architecture derives positions from the mask when rows are padded on the left.
            inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
        if self.ask == "head":
            return model(**inputs).logits  # type: ignore[no-any-return]
        if "logits_to_keep" in self.parameters:
            inputs["logits_to_keep"] = 1  # type: ignore[assignment]
        scores: torch.Tensor = model(**inputs, use_cache=False).logits[:, -1]
        return scores[:, self.verbalizers]
