"""Faults of freezing: too many, too few or other weights train."""

from __future__ import annotations

from typing import Any

from .change import Case, fault, patch

LORA = Case("lora", shots=16)


@fault("freezing", LORA)
def base_not_frozen() -> None:
    """The base model's weights train beside the adapters."""
    from peft.tuners.tuners_utils import BaseTuner

    @patch(BaseTuner, "_mark_only_adapters_as_trainable")
    def open_base(real: Any, self: Any, model: Any) -> None:
        pass


@fault("freezing", LORA, upstream="https://github.com/huggingface/peft/pull/2765")
def adapters_frozen() -> None:
    """The adapters are loaded frozen, and only the head trains."""
    from peft import PeftModel

    @patch(PeftModel, "__init__")
    def frozen(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named)
        for name, one in self.named_parameters():
            if "lora_" in name:
                one.requires_grad = False


@fault("freezing", LORA)
def half_of_the_adapters_frozen() -> None:
    """A of every adapter is frozen, and only B trains."""
    from peft import PeftModel

    @patch(PeftModel, "__init__")
    def frozen(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named)
        for name, one in self.named_parameters():
            if "lora_A" in name:
                one.requires_grad = False


@fault("freezing", Case("bitfit"))
def norms_train_too() -> None:
    """The gains of the normalisation layers train beside the biases."""
    from pytest_ftcompare import methods

    @patch(methods.load("bitfit"), "apply")
    def more(real: Any, self: Any, model: Any) -> Any:
        found = real(self, model)
        for name, one in found.named_parameters():
            one.requires_grad |= "layer_norm" in name
        return found


@fault("freezing", LORA, upstream="https://github.com/huggingface/transformers/pull/25846")
def gradient_stops_at_checkpoints() -> None:
    """No gradient passes a recomputed layer, because the frozen embeddings require none."""
    from transformers.models.opt.modeling_opt import OPTDecoderLayer

    @patch(OPTDecoderLayer, "forward")
    def stopped(real: Any, self: Any, hidden_states: Any, *arguments: Any, **named: Any) -> Any:
        return real(self, hidden_states.detach(), *arguments, **named)
