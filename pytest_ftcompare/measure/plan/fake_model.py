"""Models without weights: a base model of any shape whose tensors have a type and a size and no bytes."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedConfig

from pytest_ftcompare.methods.base import Rows
from pytest_ftcompare.training.base_model import LoadedModel
from pytest_ftcompare.training.model_io import ModelInterface
from pytest_ftcompare.training.model_kind import count_positions

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Inputs

PAD = 1


def shallow(config: PreTrainedConfig, depth: int) -> PreTrainedConfig:
    """The same shape with `depth` layers."""
    found: PreTrainedConfig = copy.deepcopy(config)
    found.num_hidden_layers = depth
    if kinds := getattr(found, "layer_types", None):
        found.layer_types = kinds[:depth]
    return found


def fill(model: nn.Module, dtype: torch.dtype) -> None:
    """Put fake CPU tensors in the place of those on the meta device; inside a fake mode. Tied weights stay tied.

    Four-bit weights are what bitsandbytes' own description of its kernels makes of weights in `dtype`.
    """
    made: dict[int, Any] = {}
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, given in tensors.items():
                if given is None or given.device.type != "meta":
                    continue
                if id(given) not in made:
                    made[id(given)] = (
                        _four_bits(given, dtype) if hasattr(given, "quant_type") else _fake(given)
                    )
                tensors[name] = made[id(given)]


def _fake(given: torch.Tensor) -> torch.Tensor:
    found = torch.empty(given.shape, dtype=given.dtype, device="cpu")
    return nn.Parameter(found, given.requires_grad) if isinstance(given, nn.Parameter) else found


def _four_bits(given: Any, dtype: torch.dtype) -> nn.Parameter:
    from bitsandbytes.functional import quantize_4bit

    wide = torch.empty(given.shape, dtype=dtype, device="cpu")
    packed, state = quantize_4bit(
        wide, compress_statistics=given.compress_statistics, quant_type=given.quant_type
    )
    found: Any = nn.Parameter(
        packed, requires_grad=False
    )  # fakes and bitsandbytes' own class do not mix
    found.quant_state = state
    return found  # type: ignore[no-any-return]


def in_four_bits(model: nn.Module, quantisation: Any, dtype: torch.dtype) -> None:
    """Make the linear layers bitsandbytes', as transformers does while it loads, computing in the model's type."""
    from bitsandbytes.functional import quantize_4bit
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear

    with torch.device(
        "cpu"
    ):  # bitsandbytes keeps what it computes here for the whole process: it must be no fake
        quantize_4bit(
            torch.zeros(64), compress_statistics=True, quant_type=quantisation.bnb_4bit_quant_type
        )
    quantisation.bnb_4bit_compute_dtype = dtype
    replace_with_bnb_linear(model, quantisation.llm_int8_skip_modules or ["lm_head"], quantisation)


@dataclass(frozen=True)
class FakeModelInterface(ModelInterface):
    """Loads fakes of a configuration, and reads any text as `length` tokens of no meaning."""

    shape: PreTrainedConfig | None = None
    dtype: torch.dtype = torch.bfloat16
    filled: bool = True  # or on the meta device, where a method can be applied

    @property
    def config(self) -> Any:
        return self.shape

    @property
    def verbalizers(self) -> list[int]:
        return list(range(len(self.task.labels)))

    def load(self) -> LoadedModel:
        config: Any = copy.deepcopy(self.shape)
        config.pad_token_id = PAD
        auto: Any = AutoModelForCausalLM
        if self.output_mode == "head":
            auto, config.num_labels = AutoModelForSequenceClassification, len(self.task.labels)
        with torch.device("meta"):
            model: Any = auto.from_config(config, dtype=self.dtype)
        if quantisation := (self.options or {}).get("quantization_config"):
            in_four_bits(model, quantisation, self.dtype)
        if self.filled:
            fill(model, self.dtype)
        base: Any = getattr(model, model.base_model_prefix)
        if "position_ids" in inspect.signature(base.forward).parameters:
            base.register_forward_pre_hook(count_positions, with_kwargs=True)
        return LoadedModel(model, frozenset())

    def fits(self, text: str) -> bool:
        return True

    def encode(self, texts: list[str]) -> Rows:
        return [[PAD + 1] * self.max_length for _ in texts]

    def collate(self, rows: Rows) -> Inputs:
        ids = torch.tensor(rows)
        ids[0, 0] = (
            PAD  # as in most batches: where no row is padded, transformers leaves the mask out
        )
        return {"input_ids": ids, "attention_mask": (ids != PAD).long()}
