"""Make models without weights: their tensors have a type and a size, but no bytes.

`plan.py` traces them under torch's fake tensor mode.
"""

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
from pytest_ftcompare.training.model_kind import add_position_ids

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Inputs

PAD = 1


def with_depth(config: PreTrainedConfig, depth: int) -> PreTrainedConfig:
    """Return a copy of the configuration with `depth` layers."""
    changed: PreTrainedConfig = copy.deepcopy(config)
    changed.num_hidden_layers = depth
    if kinds := getattr(changed, "layer_types", None):
        changed.layer_types = kinds[:depth]
    return changed


def fill_with_fakes(model: nn.Module, dtype: torch.dtype) -> None:
    """Replace tensors on the meta device by fake CPU tensors; call it inside a fake mode.

    Tied weights stay tied. bitsandbytes' fake kernels make the 4-bit weights from `dtype` weights.
    """
    fakes: dict[int, Any] = {}
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is None or tensor.device.type != "meta":
                    continue
                if id(tensor) not in fakes:
                    fakes[id(tensor)] = (
                        _fake_4bit_weight(tensor, dtype)
                        if hasattr(tensor, "quant_type")
                        else _fake_tensor(tensor)
                    )
                tensors[name] = fakes[id(tensor)]


def _fake_tensor(tensor: torch.Tensor) -> torch.Tensor:
    fake = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
    return nn.Parameter(fake, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else fake


def _fake_4bit_weight(weight: Any, dtype: torch.dtype) -> nn.Parameter:
    from bitsandbytes.functional import quantize_4bit

    wide = torch.empty(weight.shape, dtype=dtype, device="cpu")
    packed, state = quantize_4bit(
        wide, compress_statistics=weight.compress_statistics, quant_type=weight.quant_type
    )
    # bitsandbytes' own parameter class does not work with fake tensors.
    fake: Any = nn.Parameter(packed, requires_grad=False)
    fake.quant_state = state
    return fake  # type: ignore[no-any-return]


def quantise_linear_layers(model: nn.Module, quantisation: Any, dtype: torch.dtype) -> None:
    """Replace linear layers by bitsandbytes', as transformers does on loading.

    They compute in the model's type.
    """
    from bitsandbytes.functional import quantize_4bit
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear

    # bitsandbytes caches a tensor of this call for the whole process, which must not be a fake.
    with torch.device("cpu"):
        quantize_4bit(
            torch.zeros(64), compress_statistics=True, quant_type=quantisation.bnb_4bit_quant_type
        )
    quantisation.bnb_4bit_compute_dtype = dtype
    replace_with_bnb_linear(model, quantisation.llm_int8_skip_modules or ["lm_head"], quantisation)


@dataclass(frozen=True)
class FakeModelInterface(ModelInterface):
    """Loads fake models of a configuration, and encodes any text as `max_length` equal tokens."""

    shape: PreTrainedConfig | None = None
    dtype: torch.dtype = torch.bfloat16
    # False leaves the model on the meta device, where a method can be applied.
    filled: bool = True

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
            quantise_linear_layers(model, quantisation, self.dtype)
        if self.filled:
            fill_with_fakes(model, self.dtype)
        base: Any = getattr(model, model.base_model_prefix)
        if "position_ids" in inspect.signature(base.forward).parameters:
            base.register_forward_pre_hook(add_position_ids, with_kwargs=True)
        return LoadedModel(model, frozenset())

    def fits(self, text: str) -> bool:
        return True

    def encode(self, texts: list[str]) -> Rows:
        return [[PAD + 1] * self.max_length for _ in texts]

    def collate(self, rows: Rows) -> Inputs:
        length = max(map(len, rows))
        ids = torch.tensor([[PAD] * (length - len(row)) + row for row in rows])
        # One padding token, as in most batches: without any, transformers drops the mask.
        ids[0, 0] = PAD
        return {"input_ids": ids, "attention_mask": (ids != PAD).long()}
